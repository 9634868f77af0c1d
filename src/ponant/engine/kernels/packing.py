"""Repacks a file's weights into the panels that the kernels multiply, and holds them.

Packing reads each weight once, quantises nothing a second time (unless asked to) and gives the
file's pages back as it goes, so that memory never holds the file and the copy both.
"""

import mmap
import os
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ponant.engine.kernels.library import CMatrix, Form, library
from ponant.engine.kernels.memory import Slabs
from ponant.engine.models.spec import Floats, Matrix
from ponant.engine.weights.quantised import FORMATS

LOSSLESS: Final = {
    "F32": Form.F32,
    "F16": Form.F16,
    "BF16": Form.BF16,
    "Q4_0": Form.I4,
    "Q5_0": Form.I5,
    "Q8_0": Form.I8,
    "Q4_K": Form.I4M,
    "Q5_K": Form.I5M,
    "Q6_K": Form.I6S16,
}
"""The form that holds a format's values as they are."""

_IN_PLANES: Final = {"Q8_0": Form.I8P}
"""Another form that holds a format's values as they are: a head in it can be screened."""

_TYPES: Final = {kind.name: number for number, kind in FORMATS.items()}
_PANEL: Final = 16  # outputs
_CHUNK_BYTES: Final = 8 << 20  # packed at a time


class Pool:
    """Threads that share the work of one call at a time.

    Args:
        threads: the calling one included; by default one for every processor at hand.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or len(os.sched_getaffinity(0))
        self._pointer: int | None = library().pn_pool_create(self.threads)

    @property
    def pointer(self) -> int:
        """The ``pn_pool`` for calls into the library."""
        if self._pointer is None:
            raise ValueError("the pool is closed")
        return self._pointer

    def close(self) -> None:
        """End the threads; no call may be running."""
        if self._pointer is not None:
            library().pn_pool_destroy(self._pointer)
            self._pointer = None

    def __del__(self) -> None:
        if hasattr(self, "_pointer"):
            self.close()


class PackedMatrix:
    """A weight of shape (outputs, inputs) in panels, with the memory that it stands in.

    Attributes:
        c: the matrix for calls into the library; valid as long as this object lives.
    """

    def __init__(
        self,
        form: Form,
        outputs: int,
        inputs: int,
        bias: Floats | None = None,
        slabs: Slabs | None = None,
    ) -> None:
        self.form, self.outputs, self.inputs = form, outputs, inputs
        self.bytes = packed_size(form, outputs, inputs)
        self._memory = (slabs or Slabs()).take(self.bytes)
        self._bias = None if bias is None else np.ascontiguousarray(bias, np.float32)
        self.c = CMatrix(
            form=form,
            outputs=outputs,
            inputs=inputs,
            data=self._memory.ctypes.data,
            bias=None if self._bias is None else self._bias.ctypes.data,
        )

    @property
    def data(self) -> NDArray[np.uint8]:
        """The packed bytes."""
        return self._memory

    def address(self, row: int) -> int:
        """Where the panel begins whose first row is ``row``."""
        panels = -(-self.outputs // _PANEL)
        return int(self._memory.ctypes.data) + row // _PANEL * (self.bytes // panels)

    def rows(self, indices: NDArray[np.int32]) -> Floats:
        """Rows as float32, shape (indices, inputs).

        Raises:
            IndexError: an index is outside the matrix.
        """
        wanted = np.ascontiguousarray(indices, np.int32)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= self.outputs):
            raise IndexError(f"the matrix has {self.outputs} rows")
        out = np.empty((wanted.size, self.inputs), np.float32)
        library().pn_rows(self.c, wanted.ctypes.data, wanted.size, out.ctypes.data)
        return out

    def multiply(self, pool: Pool, x: Floats) -> Floats:
        """``x @ matrix.T + bias`` for x of shape (rows, inputs)."""
        rows = np.ascontiguousarray(x, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.inputs:
            raise ValueError(f"rows of {self.inputs} values are needed, not {rows.shape}")
        out = np.empty((len(rows), self.outputs), np.float32)
        library().pn_linear(pool.pointer, self.c, rows.ctypes.data, len(rows), out.ctypes.data)
        return out


def packed_size(form: Form, outputs: int, inputs: int) -> int:
    """Bytes that a packed matrix takes."""
    return int(library().pn_packed_size(form, outputs, inputs))


def pack(
    matrix: Matrix,
    form: Form | None,
    pool: Pool,
    *,
    bias: Floats | None = None,
    slabs: Slabs | None = None,
) -> PackedMatrix:
    """Bring a weight into memory.

    Args:
        form: None keeps the file's values as they are; F32, BF16 and I8 are made from them.
        slabs: of the model whose matrix it is; None gives it memory of its own.

    Raises:
        ValueError: the kernels do not read the file's format, or cannot make the form.
    """
    lossless = LOSSLESS.get(matrix.format)
    wanted = lossless if form is None else form
    if wanted is None:
        raise ValueError(f"The kernels do not read weights of the format {matrix.format}.")
    packed = PackedMatrix(wanted, matrix.outputs, matrix.inputs, bias, slabs)
    if wanted in (lossless, _IN_PLANES.get(matrix.format)):
        _pack_raw(matrix, packed, pool)
    else:
        _pack_values(matrix, packed, pool)
    return packed


def _pack_raw(matrix: Matrix, packed: PackedMatrix, pool: Pool) -> None:
    """Pack the stored bytes as they are."""
    raw = np.ascontiguousarray(matrix.raw()).reshape(-1)
    row_bytes = raw.nbytes // matrix.outputs
    for start, stop in _chunks(packed, row_bytes):
        rows = raw[start * row_bytes : stop * row_bytes]
        _pack_rows(packed, pool, matrix.format, rows, start, stop)
        _forget(rows)


def _pack_values(matrix: Matrix, packed: PackedMatrix, pool: Pool) -> None:
    """Pack the values in another form than the file's."""
    raw = matrix.raw().reshape(-1)
    row_bytes = raw.nbytes // matrix.outputs
    for start, stop in _chunks(packed, matrix.inputs * 4):
        values = np.ascontiguousarray(matrix.values(start, stop), np.float32)
        _pack_rows(packed, pool, "F32", values, start, stop)
        _forget(raw[start * row_bytes : stop * row_bytes])


def _pack_rows(
    packed: PackedMatrix, pool: Pool, source: str, rows: NDArray[Any], start: int, stop: int
) -> None:
    target = packed.address(start)
    shape = (packed.form, stop - start, packed.inputs, target)
    if source == "F32" and packed.form == Form.I8:
        status = library().pn_quantise(pool.pointer, rows.ctypes.data, *shape)
    else:
        status = library().pn_pack(pool.pointer, _TYPES[source], rows.ctypes.data, *shape)
    if status != 0:
        raise ValueError(
            f"Weights of {packed.inputs} inputs cannot be packed from {source} to "
            f"{packed.form.name}."
        )


def _chunks(packed: PackedMatrix, row_bytes: int) -> Iterator[tuple[int, int]]:
    """Rows in whole panels, a few megabytes of the file at a time."""
    step = max(1, _CHUNK_BYTES // (row_bytes * _PANEL)) * _PANEL
    for start in range(0, packed.outputs, step):
        yield start, min(packed.outputs, start + step)


def _forget(stored: NDArray[np.uint8]) -> None:
    """Give back the pages that a slice of a mapped file takes; a later read fetches them again."""
    owner: Any = stored
    while isinstance(owner, np.ndarray | memoryview):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    if not isinstance(owner, mmap.mmap) or not memoryview(owner).readonly:
        return
    first = stored.ctypes.data - np.frombuffer(owner, np.uint8).ctypes.data
    start = -(-first // mmap.PAGESIZE) * mmap.PAGESIZE
    size = (first + stored.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE - start
    if size > 0 and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED, start, size)
