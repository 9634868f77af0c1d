"""Memory that small matrices share."""

import numpy as np

from ponant.engine.kernels.memory import Slabs


def test_what_is_taken_is_zeroed_and_nobody_elses() -> None:
    slabs = Slabs()
    taken = [slabs.take(size) for size in (1, 64, 100_000, 40 << 20, 31 << 20, 3, 2 << 20)]
    assert not any(memory[:100_000].any() or memory[-100_000:].any() for memory in taken)
    for number, memory in enumerate(taken, 1):
        memory[:] = number
    for number, memory in enumerate(taken, 1):
        assert (memory == number).all()


def test_what_is_taken_begins_at_a_cache_line() -> None:
    slabs = Slabs()
    assert all(slabs.take(size).ctypes.data % 64 == 0 for size in (1, 65, 1 << 20, 33 << 20, 7))


def test_small_matrices_stand_side_by_side() -> None:
    slabs = Slabs()
    first, second = slabs.take(640), slabs.take(640)
    assert second.ctypes.data == first.ctypes.data + 640
    assert np.shares_memory(first.base, second)
