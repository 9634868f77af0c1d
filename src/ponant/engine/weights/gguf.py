"""Reads GGUF model files through a memory map, decoding only what is asked for.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3. Long arrays
(a vocabulary of 262,144 strings) are skipped when the file is opened and decoded on access.
"""

import math
import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ponant.engine.errors import ModelFileError
from ponant.engine.weights.opaque import OPAQUE
from ponant.engine.weights.quantised import FORMATS, BlockFormat

_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_DEFAULT_ALIGNMENT: Final = 32
_MOST_DIMENSIONS: Final = 4
_SCALARS: Final = {0: "B", 1: "b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "?"} | {
    10: "<Q",
    11: "<q",
    12: "<d",
}
_UINT32: Final = 4
_STRING: Final = 8
_ARRAY: Final = 9
_LENGTH: Final = struct.Struct("<Q")
_CHUNK_BYTES: Final = 1 << 17  # expanded at a time, so that intermediates stay in cache


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor lies and what it holds.

    Attributes:
        shape: row-major, the slowest axis first (the reverse of ggml's order).
        offset: first byte, from the start of the file.
        size: bytes in the file.
    """

    name: str
    shape: tuple[int, ...]
    format: BlockFormat
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class _Array:
    """An array in the metadata that has been skipped over, not read."""

    kind: int
    count: int
    offset: int


class Metadata(Mapping[str, Any]):
    """The key-value part of the file.

    Scalars and strings come as Python values, arrays of numbers as NumPy arrays, arrays of
    strings as lists (decoded on each access: keep what you asked for). A string that is not
    UTF-8 carries its odd bytes as surrogates (``surrogateescape``).
    """

    def __init__(self, reader: "_Cursor", values: dict[str, Any]) -> None:
        self._reader = reader
        self._values = values

    def __getitem__(self, key: str) -> Any:
        value = self._values[key]
        return self._reader.array(value) if isinstance(value, _Array) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class _Cursor:
    """Reads the header from front to back and refuses to leave the file."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.position = 0

    def take(self, size: int) -> int:
        """Move past ``size`` bytes and return where they start."""
        start = self.position
        if size < 0 or start + size > len(self._data):
            raise ModelFileError("it ends before its header does")
        self.position = start + size
        return start

    def scalar(self, kind: int) -> Any:
        form = _SCALARS.get(kind)
        if form is None:
            raise ModelFileError(f"its metadata has a value of unknown type {kind}")
        start = self.take(struct.calcsize(form))
        return struct.unpack_from(form, self._data, start)[0]

    def length(self) -> int:
        return int(_LENGTH.unpack_from(self._data, self.take(8))[0])

    def bytes(self, size: int) -> bytes:
        start = self.take(size)
        return self._data[start : start + size]

    def string(self) -> str:
        return self.bytes(self.length()).decode("utf-8", "surrogateescape")

    def value(self) -> Any:
        kind = self.scalar(_UINT32)
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            return self.scalar(kind)
        kind, count = self.scalar(_UINT32), self.length()
        found = _Array(kind, count, self.position)
        self._skip(found)
        return found

    def _skip(self, found: _Array) -> None:
        if found.kind != _STRING:
            if found.kind not in _SCALARS:
                raise ModelFileError(f"its metadata has an array of unknown type {found.kind}")
            self.take(found.count * struct.calcsize(_SCALARS[found.kind]))
            return
        if found.count * _LENGTH.size > len(self._data):
            raise ModelFileError("an array in its metadata is longer than the file")
        position, data, unpack = self.position, self._data, _LENGTH.unpack_from
        try:
            for _ in range(found.count):
                position += 8 + unpack(data, position)[0]
        except (struct.error, OverflowError) as e:
            raise ModelFileError("it ends before its header does") from e
        self.take(position - self.position)

    def array(self, found: _Array) -> list[str] | NDArray[Any]:
        if found.kind != _STRING:
            form = _SCALARS[found.kind]
            return np.frombuffer(self._data, np.dtype(form), found.count, found.offset).copy()
        end, data, unpack = found.offset, self._data, _LENGTH.unpack_from
        pieces = []
        for _ in range(found.count):
            start = end + 8
            end = start + unpack(data, end)[0]
            pieces.append(data[start:end].decode("utf-8", "surrogateescape"))
        return pieces


class GgufFile:
    """An open GGUF file.

    Args:
        path: a regular file.

    Attributes:
        metadata: the key-value part; see `Metadata` for how values come.
        tensors: every tensor by name, in the file's order.

    Raises:
        ModelFileError: not a GGUF file, truncated, corrupt, or holding a tensor format that
            Ponant does not read.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._data = map_file(self.path)
        try:
            cursor = _Cursor(self._data)
            tensor_count, value_count = _read_preamble(cursor)
            self.metadata: Mapping[str, Any] = _read_metadata(cursor, value_count)
            self.tensors = _read_tensors(cursor, tensor_count, self.metadata, len(self._data))
        except (ModelFileError, struct.error) as e:
            raise ModelFileError(
                f"{self.path} is not a model file that can be read: {e}. Fetch it again."
            ) from e

    def raw(self, name: str) -> NDArray[np.uint8]:
        """A tensor's bytes as they lie in the file; a view that keeps the file mapped."""
        info = self.tensors[name]
        return np.frombuffer(self._data, np.uint8, info.size, info.offset)

    def dequantise(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """A tensor's values in row-major order.

        Args:
            name: one of `tensors`.
            start: first index along the slowest axis.
            stop: one past the last, or None for all.

        Returns:
            Array of the tensor's shape, its first axis cut to ``start:stop``.
        """
        info = self.tensors[name]
        if len(info.shape) < 2:
            return self._expand(info, 0, None).reshape(info.shape)[start:stop]
        rows = info.shape[0]
        first, last, _ = slice(start, stop).indices(rows)
        per_row = info.size // info.format.size // rows
        values = self._expand(info, first * per_row, last * per_row)
        return values.reshape(last - first, *info.shape[1:])

    def rows(self, name: str, indices: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Some rows of a matrix, in the order asked for: shape (indices, columns)."""
        info = self.tensors[name]
        picked = self.raw(name).reshape(info.shape[0], -1)[indices]
        values = info.format.expand(picked.reshape(-1, info.format.size))
        return values.reshape(len(indices), -1)

    def _expand(self, info: TensorInfo, first: int, last: int | None) -> NDArray[np.float32]:
        """Blocks ``first:last`` of a tensor, in chunks that stay in cache."""
        blocks = self.raw(info.name).reshape(-1, info.format.size)[first:last]
        out = np.empty((len(blocks), info.format.values), np.float32)
        step = max(1, _CHUNK_BYTES // info.format.size)
        for begin in range(0, len(blocks), step):
            out[begin : begin + step] = info.format.expand(blocks[begin : begin + step])
        return out


def map_file(path: Path) -> mmap.mmap:
    """A file's bytes, mapped for reading.

    Raises:
        ModelFileError: it cannot be opened, or is empty.
    """
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as e:
        raise ModelFileError(f"{path} cannot be opened: {e.strerror}.") from e
    except ValueError as e:  # an empty file cannot be mapped
        raise ModelFileError(f"{path} is empty. Fetch it again.") from e


def _read_preamble(cursor: _Cursor) -> tuple[int, int]:
    """The counts of tensors and of metadata values."""
    if cursor.bytes(4) != _MAGIC:
        raise ModelFileError("it is no GGUF file")
    version = cursor.scalar(_UINT32)
    if version not in _VERSIONS:
        raise ModelFileError(f"its format version is {version}, and versions 2 and 3 are known")
    return cursor.length(), cursor.length()


def _read_metadata(cursor: _Cursor, count: int) -> Metadata:
    values: dict[str, Any] = {}
    for _ in range(count):
        key = cursor.string()
        if key in values:
            raise ModelFileError(f"its metadata has two values for {key}")
        values[key] = cursor.value()
    return Metadata(cursor, values)


def _read_tensors(
    cursor: _Cursor, count: int, metadata: Mapping[str, Any], file_size: int
) -> dict[str, TensorInfo]:
    entries = [_read_tensor(cursor) for _ in range(count)]
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise ModelFileError(f"its alignment is {alignment}")
    base = -(-cursor.position // alignment) * alignment
    tensors: dict[str, TensorInfo] = {}
    for entry in entries:
        info = replace(entry, offset=base + entry.offset)
        if info.name in tensors:
            raise ModelFileError(f"it has two tensors called {info.name}")
        if info.offset + info.size > file_size:
            raise ModelFileError(f"it ends before its tensor {info.name} does")
        tensors[info.name] = info
    return tensors


def _read_tensor(cursor: _Cursor) -> TensorInfo:
    """One entry of the tensor table; its offset still counts from the start of the data."""
    name = cursor.string()
    dimensions = cursor.scalar(_UINT32)
    if dimensions > _MOST_DIMENSIONS:
        raise ModelFileError(f"its tensor {name} has {dimensions} dimensions")
    shape = tuple(cursor.length() for _ in range(dimensions))[::-1]
    number = cursor.scalar(_UINT32)
    kind = FORMATS.get(number) or OPAQUE.get(number)
    if kind is None:
        raise ModelFileError(f"its tensor {name} has the format {number}, which Ponant cannot read")
    if 0 in shape or (shape and shape[-1] % kind.values):
        raise ModelFileError(f"its tensor {name} of shape {shape} is not made of whole blocks")
    size = math.prod(shape) // kind.values * kind.size
    return TensorInfo(name, shape, kind, cursor.length(), size)
