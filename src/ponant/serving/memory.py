"""A worker's memory: the bound on it, and giving back what nobody needs any more."""

import ctypes
import sys

_BESIDE_THE_MODEL = 1 << 30  # stacks of threads, libraries, vocabulary: reserved, mostly unused


def give_memory_back() -> None:
    """Let go of what parsing a vocabulary took: glibc keeps it (190 MB for the starter's)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def hold_to_memory(size: int) -> None:
    """Let allocations fail that go far past what this process may take; 0 sets no bound.

    The model keeps to its share by counting; this catches what was not counted, before the machine
    ends a process of its own choice. Files that are mapped to be read do not count.
    """
    if not size or sys.platform != "linux":
        return
    import resource  # noqa: PLC0415 - there is none on Windows

    bound = size + size // 4 + _BESIDE_THE_MODEL
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most != resource.RLIM_INFINITY:
        bound = min(bound, most)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, most))
