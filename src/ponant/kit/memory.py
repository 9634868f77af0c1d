"""Gives memory back that a process no longer needs, where glibc would keep it."""

import ctypes
import sys
from collections.abc import Callable

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_LARGE = 1 << 20  # bytes of a block that goes back as soon as it is freed
_KEPT = 16 << 20  # bytes at the end of the heap


def give_memory_back() -> None:
    """Return what was freed to the system, such as 190 MB of a parsed vocabulary.

    It takes a few milliseconds, in which other threads that allocate wait.
    """
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


def keep_no_large_blocks() -> None:
    """Let large blocks go back when they are freed, from now on.

    By itself glibc keeps blocks of up to 32 MB once it has seen such freed, and twice as much at
    the end of the heap: a server would stay as large as its longest request made it.
    """
    set_option = _glibc("mallopt")
    if set_option is not None:
        set_option(_M_MMAP_THRESHOLD, _LARGE)
        set_option(_M_TRIM_THRESHOLD, _KEPT)


def _glibc(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
