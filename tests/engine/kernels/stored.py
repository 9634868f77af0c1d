"""Random weights as a file stores them, for tests of packing and products."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ponant.engine.models.spec import Floats
from ponant.engine.weights.quantised import FORMATS

NUMBERS: Final = {kind.name: number for number, kind in FORMATS.items()}
_HALVES: Final = {"Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)} | dict.fromkeys(
    ("Q4_0", "Q5_0", "Q8_0"), (0,)
)
"""Where a block keeps its half-precision scales."""


class StoredMatrix:
    """A `Matrix` whose blocks hold random bits and scales of a usual size."""

    def __init__(self, name: str, outputs: int, inputs: int, seed: int = 0) -> None:
        self.format, self.outputs, self.inputs = name, outputs, inputs
        self._kind = FORMATS[NUMBERS[name]]
        blocks = outputs * inputs // self._kind.values
        self._raw = _random_blocks(name, blocks, self._kind.size, np.random.default_rng(seed))

    def raw(self) -> NDArray[np.uint8]:
        return self._raw

    def values(self, start: int = 0, stop: int | None = None) -> Floats:
        rows = self._raw.reshape(self.outputs, -1)[start:stop]
        values = self._kind.expand(rows.reshape(-1, self._kind.size))
        return values.reshape(len(rows), self.inputs)


def _random_blocks(
    name: str, blocks: int, size: int, random: np.random.Generator
) -> NDArray[np.uint8]:
    if name in {"F32", "F16", "BF16"}:
        return _random_floats(name, random.normal(0, 1, (blocks, 1)).astype(np.float32))
    raw = random.integers(0, 256, (blocks, size), dtype=np.uint8)
    for offset in _HALVES[name]:
        scales = random.normal(0, 0.01, (blocks, 1)).astype(np.float16)
        raw[:, offset : offset + 2] = scales.view(np.uint8)
    return raw


def _random_floats(name: str, values: NDArray[np.float32]) -> NDArray[np.uint8]:
    stored: NDArray[Any] = values
    if name == "F16":
        stored = values.astype(np.float16)
    if name == "BF16":
        stored = (values.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    return stored.view(np.uint8)
