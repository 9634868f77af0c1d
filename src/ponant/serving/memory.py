"""The bound on a worker's memory."""

import sys

_BESIDE_THE_MODEL = 1 << 30  # stacks of threads, libraries, vocabulary: reserved, mostly unused


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
