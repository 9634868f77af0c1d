"""Reads safetensors files through a memory map, and trusts nothing that their headers say.

Format: https://github.com/huggingface/safetensors. The safetensors package copies tensors and has
no NumPy type for BF16 and FP8; here a tensor is a view of the mapped file.
"""

import json
import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ponant.engine.errors import ModelFileError
from ponant.engine.weights.gguf import map_file
from ponant.engine.weights.quantised import FORMATS, BlockFormat, Raw, Values

_LENGTH: Final = struct.Struct("<Q")
_LONGEST_HEADER: Final = 100_000_000  # as the package has it
_MOST_AXES: Final = 8


def _e4m3() -> Values:
    """The 256 values of FP8 E4M3 without infinities (arXiv 2209.05433)."""
    codes = np.arange(256)
    exponents, fractions = codes >> 3 & 15, codes & 7
    normal = (1 + fractions / 8) * np.exp2(exponents - 7.0)
    values = np.where(exponents == 0, fractions / 8 * 2.0**-6, normal)
    values[(codes & 127) == 127] = np.nan
    return np.where(codes & 128, -values, values).astype(np.float32)


_E4M3: Final = _e4m3()
_PLAIN: Final = {form.name: form for form in FORMATS.values() if form.values == 1}
TYPES: Final[Mapping[str, BlockFormat]] = {
    "F32": _PLAIN["F32"],
    "F16": _PLAIN["F16"],
    "BF16": _PLAIN["BF16"],
    "F8_E4M3": BlockFormat("F8_E4M3", 1, 1, lambda raw: _E4M3[raw]),
}
"""Types that Ponant reads, by their name in the header."""

_SIZES: Final = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E8M0": 1} | {
    "I16": 2,
    "U16": 2,
    "I32": 4,
    "U32": 4,
    "F64": 8,
    "I64": 8,
    "U64": 8,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a tensor lies; its type is known to be one that exists, not one that can be read."""

    shape: tuple[int, ...]
    type: str
    start: int
    size: int


class SafetensorsFile:
    """An open safetensors file.

    Args:
        path: a regular file.

    Attributes:
        entries: every tensor by name.

    Raises:
        ModelFileError: not a safetensors file, truncated, or corrupt.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data = map_file(path)
        try:
            self.entries = _read_header(self._data)
        except ModelFileError as e:
            raise ModelFileError(
                f"{path} is not a model file that can be read: {e}. Fetch it again."
            ) from e

    def raw(self, name: str) -> Raw:
        """A tensor's bytes as they lie in the file; a view that keeps the file mapped."""
        entry = self.entries[name]
        return np.frombuffer(self._data, np.uint8, entry.size, entry.start)


def _read_header(data: mmap.mmap) -> dict[str, Entry]:
    if len(data) < _LENGTH.size:
        raise ModelFileError("it ends before its header does")
    length = _LENGTH.unpack_from(data)[0]
    base = _LENGTH.size + length
    if length > _LONGEST_HEADER or base > len(data):
        raise ModelFileError("it ends before its header does")
    try:
        header = json.loads(data[_LENGTH.size : base])
    except (ValueError, RecursionError) as e:
        raise ModelFileError("its header is no JSON") from e
    if not isinstance(header, dict):
        raise ModelFileError("its header is no table of tensors")
    return {
        name: _read_entry(name, entry, base, len(data))
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _read_entry(name: str, entry: Any, base: int, file_size: int) -> Entry:
    try:
        kind, shape = str(entry["dtype"]), tuple(entry["shape"])
        first, end = entry["data_offsets"]
    except (KeyError, TypeError, ValueError) as e:
        raise ModelFileError(f"its entry for {name} is incomplete") from e
    size = TYPES[kind].size if kind in TYPES else _SIZES.get(kind)
    if size is None:
        raise ModelFileError(f"its tensor {name} has the type {kind}, which is unknown")
    if len(shape) > _MOST_AXES or not all(map(_is_count, (*shape, first, end))):
        raise ModelFileError(f"its tensor {name} has the shape {shape} at {first} to {end}")
    if end - first != math.prod(shape) * size:
        raise ModelFileError(f"its tensor {name} of shape {shape} does not fit its place")
    if base + end > file_size:
        raise ModelFileError(f"it ends before its tensor {name} does")
    return Entry(shape, kind, base + first, end - first)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62
