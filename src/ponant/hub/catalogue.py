"""The models on this machine, read from the manifests under ``<home>/models``."""

from pathlib import Path

import structlog

from ponant.hub.manifest import MANIFEST_NAME, InstalledModel, read_manifest
from ponant.kit.errors import NotFound

_log = structlog.get_logger()


class Catalogue:
    """Lists and finds installed models; looks at the disk each time, so it is never stale."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "models"

    def models(self) -> list[InstalledModel]:
        """Every usable model, by id; one with a damaged manifest is logged and left out."""
        found = []
        for path in self._folder.glob(f"[!.]*/{MANIFEST_NAME}"):
            try:
                found.append(read_manifest(path.parent))
            except (OSError, ValueError) as e:
                _log.warning("A model cannot be used.", folder=str(path.parent), reason=str(e))
        return sorted(found, key=lambda model: model.id)

    def get(self, model_id: str) -> InstalledModel:
        """The model with this id or, failing that, this alias.

        Raises:
            NotFound: there is none; the message names those there are.
        """
        models = self.models()
        for model in models:
            if model.id == model_id:
                return model
        for model in models:
            if model_id in model.aliases:
                return model
        names = ", ".join(model.id for model in models) or "none; run `ponant setup`"
        raise NotFound(f"There is no model {model_id} on this machine. There are: {names}.")
