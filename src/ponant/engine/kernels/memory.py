"""Memory for packed weights: huge pages, which many small matrices share.

A step of a small model passes over all its weights. In pages of 4 KiB every other cache miss would
also be one of the table of pages; a layer's matrices are smaller than a huge page each, so they
stand side by side.
"""

import mmap
from typing import Final

import numpy as np
from numpy.typing import NDArray

_HUGE_PAGE: Final = 2 << 20
_SLAB: Final = 32 << 20
_LINE: Final = 64  # where panels begin


class Slabs:
    """Hands out zeroed memory that goes back to the system with the arrays that stand in it."""

    def __init__(self) -> None:
        self._left = np.empty(0, np.uint8)

    def take(self, size: int) -> NDArray[np.uint8]:
        """Memory of `size` bytes from a cache line on.

        Raises:
            OSError: there is no room for it.
        """
        whole = -(-size // _LINE) * _LINE
        if whole > len(self._left):
            slab = _mapped(max(whole, _SLAB))
            if whole >= _SLAB:
                return slab[:size]
            self._left = slab
        taken, self._left = self._left[:size], self._left[whole:]
        return taken


def _mapped(size: int) -> NDArray[np.uint8]:
    """Zeroed pages, none of which is touched yet; huge ones as far as the system has them."""
    # Private, since the system gives memory that may be shared no huge pages unless it is told to.
    kind = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.frombuffer(mmap.mmap(-1, size, flags=kind), np.uint8)
    pages = mmap.mmap(-1, size + _HUGE_PAGE, flags=kind)
    memory = np.frombuffer(pages, np.uint8)
    start = -memory.ctypes.data % _HUGE_PAGE
    pages.madvise(mmap.MADV_HUGEPAGE, start, size // _HUGE_PAGE * _HUGE_PAGE)
    return memory[start : start + size]
