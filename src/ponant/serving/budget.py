"""The memory that models may take together, lent to each worker as it starts."""

from collections.abc import Callable

import psutil

from ponant.kit.machine import this_machine

_LEAST = 1 << 20  # lent where nothing is left, since 0 stands for "what is free"


class MemoryBudget:
    """What each worker may take: the whole, less what the others hold.

    Args:
        total: bytes that all may take together; 0 sets no bound but the machine's own.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._holders: dict[str, Callable[[], int]] = {}

    @property
    def whole(self) -> int:
        """The most that one model could ever take."""
        return self._total or this_machine().memory

    def enter(self, name: str, held: Callable[[], int]) -> None:
        """Take part; ``held`` tells the bytes that this one holds now."""
        self._holders[name] = held

    def lend(self, name: str) -> int:
        """Bytes that one may take now; 0 leaves it to what the machine has free."""
        if not self._total:
            return 0
        others = sum(held() for holder, held in self._holders.items() if holder != name)
        return max(self._total - others, _LEAST)


def held_by(pid: int | None, promised: int) -> int:
    """Bytes that a process holds: what is resident, or what it was promised and will fill.

    Args:
        pid: None for a process that does not run, which holds nothing.
        promised: what it said, or was estimated, to take at most.
    """
    if pid is None:
        return 0
    try:
        resident: int = psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0
    return max(resident, promised)
