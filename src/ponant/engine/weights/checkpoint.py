"""What a model family reads a model from, whatever container holds it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from ponant.engine.errors import ModelFileError, ModelKindUnknown
from ponant.engine.weights.gguf import GgufFile
from ponant.engine.weights.opaque import OPAQUE
from ponant.engine.weights.quantised import BlockFormat, Raw, Values
from ponant.engine.weights.stored import StoredMatrix, expand

Layout = Literal["gguf", "huggingface", "mistral"]
"""Which names settings and tensors go by."""

_UNREADABLE: Final = frozenset(form.name for form in OPAQUE.values())


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a mapped file.

    Attributes:
        shape: the slowest axis first.
        data: all its bytes.
    """

    shape: tuple[int, ...]
    form: BlockFormat
    data: Raw


class Checkpoint(ABC):
    """An open model: settings, and tensors by the names of its layout.

    Attributes:
        path: the file or folder, for messages.
        layout: whose names it uses.
        settings: what it says about itself, nested as in its file.
    """

    path: Path
    layout: Layout
    settings: Mapping[str, Any]

    @abstractmethod
    def find(self, name: str) -> StoredTensor | None:
        """The tensor of this name, or None."""

    @abstractmethod
    def names(self) -> Iterator[str]:
        """Names of all tensors."""

    def scales(self, name: str, tensor: StoredTensor) -> tuple[Values | None, tuple[int, int]]:
        """Factors on a matrix's values, and the block that each is for; see `StoredMatrix`."""
        del name, tensor
        return None, (1, 1)

    def __contains__(self, name: str) -> bool:
        return self.find(name) is not None

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape.

        Raises:
            ModelFileError: there is none of this name.
        """
        return self._get(name).shape

    def matrix(self, name: str, outputs: int, inputs: int) -> StoredMatrix:
        """A weight, not yet read.

        Raises:
            ModelFileError: it is missing, or of another shape.
            ModelKindUnknown: it is in a format that only llama.cpp reads.
        """
        tensor = self._checked(name, (outputs, inputs))
        scales, block = self.scales(name, tensor)
        return StoredMatrix(tensor.data, outputs, inputs, tensor.form, scales, block)

    def stack(self, name: str, parts: int, outputs: int, inputs: int) -> list[StoredMatrix]:
        """The weights of one tensor of shape (parts, outputs, inputs).

        Raises:
            ModelFileError: as for `matrix`.
        """
        tensor = self._checked(name, (parts, outputs, inputs))
        pieces = tensor.data.reshape(parts, -1)
        return [StoredMatrix(piece, outputs, inputs, tensor.form) for piece in pieces]

    def vector(self, name: str, size: int) -> Values:
        """A tensor of one axis, read.

        Raises:
            ModelFileError: as for `matrix`.
        """
        tensor = self._checked(name, (size,))
        return expand(tensor.data.reshape(-1, tensor.form.size), tensor.form).reshape(size)

    def single(self, name: str) -> float:
        """A tensor of one value, whatever its axes.

        Raises:
            ModelFileError: as for `matrix`.
        """
        shape = self.shape(name)
        tensor = self._checked(name, (1,) * len(shape))
        return float(expand(tensor.data.reshape(1, -1), tensor.form)[0, 0])

    def _get(self, name: str) -> StoredTensor:
        tensor = self.find(name)
        if tensor is None:
            raise ModelFileError(f"{self.path} lacks the tensor {name}: fetch the model again.")
        return tensor

    def _checked(self, name: str, shape: tuple[int, ...]) -> StoredTensor:
        tensor = self._get(name)
        if tensor.shape != shape:
            raise ModelFileError(
                f"{self.path} has a tensor {name} of shape {tensor.shape}, and {shape} is right "
                "for its settings: fetch the model again."
            )
        if tensor.form.name in _UNREADABLE:
            raise ModelKindUnknown(
                f"The native engine cannot read tensors of format {tensor.form.name}, as "
                f"{self.path} has them. Set PONANT_ENGINE=llamacpp.",
                f"The native engine cannot read tensors of format {tensor.form.name}.",
            )
        return tensor


class GgufCheckpoint(Checkpoint):
    """A GGUF file.

    Raises:
        ModelFileError: it cannot be read.
    """

    layout: Layout = "gguf"

    def __init__(self, path: Path) -> None:
        self._file = GgufFile(path)
        self.path = self._file.path
        self.settings = self._file.metadata

    def find(self, name: str) -> StoredTensor | None:
        info = self._file.tensors.get(name)
        if info is None:
            return None
        return StoredTensor(info.shape, info.format, self._file.raw(name))

    def names(self) -> Iterator[str]:
        return iter(self._file.tensors)
