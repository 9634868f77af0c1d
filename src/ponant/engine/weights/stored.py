"""Matrices that lie in mapped files and are expanded when somebody asks for their values."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ponant.engine.weights.quantised import BlockFormat, Raw, Values

_CHUNK_BYTES: Final = 1 << 17  # expanded at a time, so that intermediates stay in cache


def expand(blocks: Raw, form: BlockFormat) -> Values:
    """Raw blocks, shape (n, bytes a block), as values of shape (n, values a block)."""
    out = np.empty((len(blocks), form.values), np.float32)
    step = max(1, _CHUNK_BYTES // form.size)
    for begin in range(0, len(blocks), step):
        out[begin : begin + step] = form.expand(blocks[begin : begin + step])
    return out


@dataclass(frozen=True, slots=True)
class StoredMatrix:
    """A weight of shape (outputs, inputs), row after row in a file; see `models.spec.Matrix`.

    Attributes:
        data: its bytes, a view that keeps the file mapped.
        form: how they are packed.
        scales: factors on the values (FP8), shape (rows of blocks, columns of blocks), or None.
            A block has as many rows and columns as it takes to cover the matrix.
        block: rows and columns of a block of `scales`.
    """

    data: NDArray[np.uint8]
    outputs: int
    inputs: int
    form: BlockFormat
    scales: Values | None = None
    block: tuple[int, int] = (1, 1)

    @property
    def format(self) -> str:
        return self.form.name

    def raw(self) -> NDArray[np.uint8]:
        return self.data

    def values(self, start: int = 0, stop: int | None = None) -> Values:
        first, last, _ = slice(start, stop).indices(self.outputs)
        rows = self.data.reshape(self.outputs, -1)[first:last]
        values = expand(rows.reshape(-1, self.form.size), self.form).reshape(-1, self.inputs)
        return values if self.scales is None else values * self._factors(first, last)

    def _factors(self, first: int, last: int) -> Values:
        """Scales of rows ``first:last``, spread over their blocks: shape (rows, inputs or 1)."""
        if self.scales is None:
            return np.ones((1, 1), np.float32)
        rows = self.scales[np.arange(first, last) // self.block[0]]
        if rows.shape[1] == 1:
            return rows
        return np.repeat(rows, self.block[1], axis=1)[:, : self.inputs]
