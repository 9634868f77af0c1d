"""What Ponant knows of a model on disk: the ``model.json`` beside its files."""

from pathlib import Path
from typing import Literal

import msgspec

MANIFEST_NAME = "model.json"

Kind = Literal["generate", "embed", "rerank"]
Format = Literal["gguf", "safetensors", "e5q4"]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A model's card and where its weights lie.

    Attributes:
        file: the weights, relative to the manifest's folder; ``.`` where they are the folder.
        architecture: what the file itself says it is, such as ``gemma3`` or ``bert``.
        template: name of a chat template of Ponant's own, or None for the file's.
        prompts: what is put before a text to embed, by kind (``query``, ``passage``).
        restrictions: what the licence forbids or asks for, in a sentence.
        sha256: of the weights file; the largest one where there are several.
        backends: those known to run it, the likelier first.
    """

    id: str
    aliases: tuple[str, ...] = ()
    kind: Kind
    format: Format
    file: str
    architecture: str = ""
    template: str | None = None
    prompts: dict[str, str] = {}
    name: str = ""
    description: str = ""
    origin: str = ""
    licence: str = ""
    restrictions: str = ""
    sha256: str = ""
    size: int = 0
    backends: tuple[str, ...] = ()


class InstalledModel(Manifest, frozen=True, kw_only=True):
    """A manifest together with the place of its weights: a file, or a folder."""

    path: Path


def read_manifest(folder: Path) -> InstalledModel:
    """The model in ``folder``.

    Raises:
        ValueError: the manifest is damaged, or the weights it names are not there.
        OSError: there is no manifest, or it cannot be read.
    """
    manifest = msgspec.json.decode((folder / MANIFEST_NAME).read_bytes(), type=Manifest)
    path = folder / manifest.file
    if not path.exists():
        raise ValueError(f"its weights are missing at {path}")
    return InstalledModel(**msgspec.structs.asdict(manifest), path=path)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest`` into ``folder``, readable by people too."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST_NAME).write_bytes(text + b"\n")
