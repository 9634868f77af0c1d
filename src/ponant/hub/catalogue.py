"""The models on this machine, read from the manifests under ``<home>/models``."""

import os
from pathlib import Path

import structlog

from ponant.hub.manifest import MANIFEST_NAME, InstalledModel, read_manifest
from ponant.kit.errors import NotFound

_log = structlog.get_logger()
_Stamp = tuple[int, int, int]  # a file's inode, size and time of change


class Catalogue:
    """Lists and finds installed models.

    It looks at the disk each time, so it is never stale; a manifest that has not changed since is
    not read again.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "models"
        self._read: dict[str, tuple[_Stamp, InstalledModel]] = {}

    def models(self) -> list[InstalledModel]:
        """Every usable model, by id; one with a damaged manifest is logged and left out."""
        found = []
        for folder in self._folders():
            try:
                found.append(self._model(folder))
            except FileNotFoundError:  # no model lies there
                continue
            except (OSError, ValueError) as e:
                _log.warning("A model cannot be used.", folder=folder, reason=str(e))
        return sorted(found, key=lambda model: model.id)

    def still_has(self, model_id: str) -> bool:
        """Whether a model that `models` told of lies there as it did; looks at its files alone."""
        for folder, (stamp, model) in self._read.items():
            if model.id == model_id:
                try:
                    return _stamp(folder) == stamp and model.path.exists()
                except OSError:
                    return False
        return False

    def _folders(self) -> list[str]:
        try:
            with os.scandir(self._folder) as entries:
                return [entry.path for entry in entries if not entry.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _model(self, folder: str) -> InstalledModel:
        stamp = _stamp(folder)
        seen, model = self._read.get(folder, (None, None))
        if model is None or seen != stamp or not os.path.exists(model.path):  # noqa: PTH110
            model = read_manifest(Path(folder))
            self._read[folder] = stamp, model
        return model

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


def _stamp(folder: str) -> _Stamp:
    """What changes when a folder's manifest does.

    Raises:
        FileNotFoundError: there is none.
    """
    status = os.stat(f"{folder}/{MANIFEST_NAME}")  # noqa: PTH116 - at each request
    return status.st_ino, status.st_size, status.st_mtime_ns
