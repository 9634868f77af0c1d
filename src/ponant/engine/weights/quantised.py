"""Block formats of GGUF tensors and their way back to float32.

Layouts follow ggml-quants.h of llama.cpp. A tensor's rows are runs of blocks; every function here
takes an array of raw blocks, shape (n, bytes a block), and gives values, shape (n, values a block).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Raw = NDArray[np.uint8]
Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class BlockFormat:
    """How a tensor's values are packed.

    Attributes:
        name: ggml's name of the type.
        values: values in a block.
        size: bytes in a block.
        expand: raw blocks to float32.
    """

    name: str
    values: int
    size: int
    expand: Callable[[Raw], Values]


def _half(raw: Raw) -> Values:
    return np.ascontiguousarray(raw).view(np.float16).astype(np.float32)


def _f32(raw: Raw) -> Values:
    return np.ascontiguousarray(raw).view(np.float32)


def _bf16(raw: Raw) -> Values:
    words = np.ascontiguousarray(raw).view(np.uint16).astype(np.uint32)
    return (words << np.uint32(16)).view(np.float32)


def _nibbles(packed: Raw) -> Raw:
    """Low halves of all bytes, then high halves, along the last axis."""
    return np.concatenate((packed & 15, packed >> 4), axis=-1)


def _bits(packed: Raw, shifts: NDArray[np.uint8], mask: int) -> Raw:
    """Fields of ``packed`` (n, k) at each shift: shape (n, shifts, k)."""
    fields: Raw = (packed[:, None, :] >> shifts[None, :, None]) & np.uint8(mask)
    return fields


def _q4_0(raw: Raw) -> Values:
    codes = _nibbles(raw[:, 2:]).view(np.int8) - np.int8(8)
    return codes.astype(np.float32) * _half(raw[:, :2])


def _q5_0(raw: Raw) -> Values:
    high = np.unpackbits(raw[:, 2:6], axis=-1, bitorder="little") << 4
    codes = (_nibbles(raw[:, 6:]) | high).view(np.int8) - np.int8(16)
    return codes.astype(np.float32) * _half(raw[:, :2])


def _q8_0(raw: Raw) -> Values:
    return raw[:, 2:].view(np.int8).astype(np.float32) * _half(raw[:, :2])


def _scales_and_minima(raw: Raw) -> tuple[Values, Values]:
    """Eight scales and eight minima of a K block, from its first 16 bytes: shape (n, 8) each."""
    packed = raw[:, 4:16]
    first, second, third = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = np.concatenate((first & 63, (third & 15) | (first >> 6 << 4)), axis=1)
    minima = np.concatenate((second & 63, (third >> 4) | (second >> 6 << 4)), axis=1)
    return scales * _half(raw[:, :2]), minima * _half(raw[:, 2:4])


def _affine(codes: Raw, raw: Raw) -> Values:
    """Eight runs of 32 codes, each with a scale and a minimum: shape (n, 256)."""
    scales, minima = _scales_and_minima(raw)
    values = codes.reshape(-1, 8, 32) * scales[:, :, None] - minima[:, :, None]
    return values.reshape(-1, 256)


def _q4_k(raw: Raw) -> Values:
    return _affine(_nibbles(raw[:, 16:].reshape(-1, 4, 32)), raw)


def _q5_k(raw: Raw) -> Values:
    high = _bits(raw[:, 16:48], np.arange(8, dtype=np.uint8), 1).reshape(-1, 4, 64)
    low = _nibbles(raw[:, 48:].reshape(-1, 4, 32))
    return _affine(low | high << np.uint8(4), raw)


def _q6_k(raw: Raw) -> Values:
    low = _nibbles(raw[:, :128].reshape(-1, 2, 64)).reshape(-1, 256)
    fields = _bits(raw[:, 128:192].reshape(-1, 32), np.arange(0, 8, 2, dtype=np.uint8), 3)
    codes = (low | fields.reshape(-1, 256) << 4).view(np.int8) - np.int8(32)
    scales = raw[:, 192:208].view(np.int8) * _half(raw[:, 208:])
    return (codes.reshape(-1, 16, 16) * scales[:, :, None]).reshape(-1, 256)


FORMATS: Final[dict[int, BlockFormat]] = {
    0: BlockFormat("F32", 1, 4, _f32),
    1: BlockFormat("F16", 1, 2, _half),
    2: BlockFormat("Q4_0", 32, 18, _q4_0),
    6: BlockFormat("Q5_0", 32, 22, _q5_0),
    8: BlockFormat("Q8_0", 32, 34, _q8_0),
    12: BlockFormat("Q4_K", 256, 144, _q4_k),
    13: BlockFormat("Q5_K", 256, 176, _q5_k),
    14: BlockFormat("Q6_K", 256, 210, _q6_k),
    30: BlockFormat("BF16", 1, 2, _bf16),
}
"""Formats that Ponant reads, by ggml's type number."""
