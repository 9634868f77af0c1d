"""Checkpoints that are folders of safetensors: Hugging Face's layout and Mistral's consolidated."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ponant.engine.errors import ModelFileError
from ponant.engine.weights.checkpoint import Checkpoint, Layout, StoredTensor
from ponant.engine.weights.quantised import Values
from ponant.engine.weights.safetensors import TYPES, SafetensorsFile
from ponant.engine.weights.stored import expand

_CONFIG: Final[Mapping[Layout, str]] = {"huggingface": "config.json", "mistral": "params.json"}
_INDEX: Final = "model.safetensors.index.json"
_LARGEST_JSON: Final = 64 << 20
_BLOCK: Final = 128  # rows and columns that share a factor, where the configuration is silent
_SCALES: Final = ("weight_scale_inv", "weight_scale", "qscale_weight")
"""What stands in place of ``weight`` for factors: DeepSeek's name (although they multiply),
compressed-tensors' and Mistral's."""


def layout_of(folder: Path) -> Layout:
    """Which layout a folder has; Hugging Face's where both are complete.

    Raises:
        ModelFileError: neither.
    """
    for layout, config in _CONFIG.items():
        if (folder / config).is_file() and _shards(folder, layout):
            return layout
    raise ModelFileError(
        f"{folder} holds no model: config.json with model.safetensors, or params.json with "
        "consolidated.safetensors, must be there."
    )


class FolderCheckpoint(Checkpoint):
    """A folder of safetensors and a configuration.

    Args:
        folder: where they are.
        layout: ``huggingface`` or ``mistral``.

    Raises:
        ModelFileError: a file is missing or damaged, or tensors are compressed in an unknown way.
    """

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.path = folder
        self.layout = layout
        self.settings = _settings(folder / _CONFIG[layout])
        self._files: dict[str, SafetensorsFile] = {}
        for path in _shards(folder, layout):
            file = SafetensorsFile(path)
            for name in file.entries:
                if name in self._files:
                    raise ModelFileError(f"{folder} has two tensors called {name}: fetch it again.")
                self._files[name] = file
        refuse_other_compression(folder.name, self.settings)

    def find(self, name: str) -> StoredTensor | None:
        file = self._files.get(name)
        if file is None:
            return None
        entry = file.entries[name]
        form = TYPES.get(entry.type)
        if form is None:
            raise ModelFileError(
                f"{file.path} stores {name} as {entry.type}, which the native engine cannot read."
            )
        return StoredTensor(entry.shape, form, file.raw(name))

    def names(self) -> Iterator[str]:
        return iter(self._files)

    def scales(self, name: str, tensor: StoredTensor) -> tuple[Values | None, tuple[int, int]]:
        if tensor.form.name != "F8_E4M3":
            return None, (1, 1)
        base = name.removesuffix("weight")
        for scale in _SCALES:
            found = self.find(base + scale)
            if found is not None:
                return self._spread(base + scale, found, tensor)
        raise ModelFileError(
            f"{self.path} stores {name} as FP8 without the scales to it: fetch the model again."
        )

    def _spread(
        self, name: str, scale: StoredTensor, tensor: StoredTensor
    ) -> tuple[Values, tuple[int, int]]:
        """Factors as a table over blocks: one, one a row, or one a square block."""
        outputs, inputs = tensor.shape
        rows, columns = (*scale.shape, 1, 1)[:2]
        values = expand(scale.data.reshape(-1, scale.form.size), scale.form)
        block = (self._block(outputs, rows, 0), self._block(inputs, columns, 1))
        covers = -(-outputs // block[0]) == rows and -(-inputs // block[1]) == columns
        if len(scale.shape) > 2 or not covers:
            raise ModelFileError(
                f"{self.path} has scales {name} of shape {scale.shape} for a matrix of shape "
                f"{tensor.shape}: fetch the model again."
            )
        return values.reshape(rows, columns), block

    def _block(self, size: int, parts: int, axis: int) -> int:
        """Length of a block along an axis that has so many of them."""
        if parts in (1, size):
            return max(1, size // parts)
        stated = (self.settings.get("quantization_config") or {}).get("weight_block_size")
        if isinstance(stated, list) and len(stated) == 2 and isinstance(stated[axis], int):
            return max(1, int(stated[axis]))
        return _BLOCK


def _shards(folder: Path, layout: Layout) -> list[Path]:
    """The files that hold a layout's tensors."""
    if layout == "mistral":
        return sorted(folder.glob("consolidated*.safetensors"))
    if not (folder / _INDEX).is_file():
        whole = folder / "model.safetensors"
        return [whole] if whole.is_file() else []
    named = _settings(folder / _INDEX).get("weight_map")
    if not isinstance(named, dict):
        raise ModelFileError(f"{folder / _INDEX} names no files: fetch the model again.")
    return [_inside(folder, name) for name in sorted(set(map(str, named.values())))]


def _inside(folder: Path, name: str) -> Path:
    """A file of the folder; an index may not lead out of it."""
    if name != Path(name).name or name in {"", ".", ".."}:
        raise ModelFileError(f"{folder / _INDEX} names {name}, which is no file beside it.")
    return folder / name


def _settings(path: Path) -> dict[str, Any]:
    """A configuration; the text part's settings come to the top where there are several parts."""
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise ModelFileError(f"{path} is too large to be a configuration.")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as e:
        raise ModelFileError(f"{path} cannot be read: {e}. Fetch it again.") from e
    if not isinstance(found, dict):
        raise ModelFileError(f"{path} is no table of settings. Fetch it again.")
    text = found.get("text_config")
    return {**found, **text} if isinstance(text, dict) else found


def refuse_other_compression(name: str, settings: Mapping[str, Any]) -> None:
    """FP8 is read; weights of 4 bits in safetensors (GPTQ, AWQ, bitsandbytes) are not.

    Raises:
        ModelFileError: the settings name a compression that is not read.
    """
    method = (settings.get("quantization_config") or {}).get("quant_method", "fp8")
    if method not in {"fp8", "compressed-tensors"}:
        raise ModelFileError(
            f"{name} is compressed by {method}, which the native engine cannot read. "
            "Fetch the model as GGUF, or uncompressed."
        )
