"""Random weights made directly in GGUF's block formats, with a spread like a trained model's.

Layouts are those of ggml's ``block_q8_0``, ``block_q4_K`` and ``block_q6_K``. Codes are uniform;
scales are chosen so that the values have mean 0 and standard deviation `_SPREAD`.
"""

from typing import Final

import gguf
import numpy as np
from numpy.typing import NDArray

Kind = gguf.GGMLQuantizationType
Bytes = NDArray[np.uint8]

_SPREAD: Final = 0.02  # initializer_range of Llama
_CODE_SPREAD_8: Final = 73.3  # of integers drawn evenly from -127 to 127
_CODE_SPREAD_6: Final = 18.5
_CODE_SPREAD_4: Final = 4.6
_MEAN_SCALE_6: Final = 12.0
_MEAN_SCALE_4: Final = 47.5


def random_blocks(random: np.random.Generator, kind: Kind, rows: int, columns: int) -> Bytes:
    """A matrix of random values as bytes of shape (rows, bytes of a row).

    Raises:
        KeyError: the kind is none of Q8_0, Q4_K, Q6_K.
        ValueError: the columns are no whole number of blocks.
    """
    size = gguf.GGML_QUANT_SIZES[kind][0]
    if columns % size:
        raise ValueError(f"{columns} columns are no whole number of blocks of {size}")
    blocks = _MAKERS[kind](random, rows * columns // size)
    return blocks.reshape(rows, -1)


def _q8_0(random: np.random.Generator, count: int) -> Bytes:
    codes = random.integers(-127, 128, (count, 32), np.int8)
    return _join(_half(_SPREAD / _CODE_SPREAD_8, count), codes.view(np.uint8))


def _q6_k(random: np.random.Generator, count: int) -> Bytes:
    codes = random.integers(0, 256, (count, 192), np.uint8)
    scales = random.integers(8, 17, (count, 16), np.int8).view(np.uint8)
    return _join(codes, scales, _half(_SPREAD / _CODE_SPREAD_6 / _MEAN_SCALE_6, count))


def _q4_k(random: np.random.Generator, count: int) -> Bytes:
    """Each group's minimum is 7.5 steps, which centres its codes of 0 to 15 on zero."""
    step = _SPREAD / _CODE_SPREAD_4 / _MEAN_SCALE_4
    scales = random.integers(32, 64, (count, 8), np.uint8)
    codes = random.integers(0, 256, (count, 128), np.uint8)
    return _join(_half(step, count), _half(7.5 * step, count), _six_bits(scales), codes)


def _six_bits(scales: Bytes) -> Bytes:
    """Eight scales and eight equal minima of six bits, packed in twelve bytes."""
    low, high = scales[:, :4], scales[:, 4:]
    first = low | (high >> 4 << 6)
    return np.concatenate([first, first, (high & 15) | (high << 4)], axis=1)


def _half(value: float, count: int) -> Bytes:
    return np.full((count, 1), value, np.float16).view(np.uint8)


def _join(*parts: Bytes) -> Bytes:
    return np.concatenate(parts, axis=1)


_MAKERS: Final = {Kind.Q8_0: _q8_0, Kind.Q6_K: _q6_k, Kind.Q4_K: _q4_k}
