"""Threads that share work: every task once, results that do not depend on how many there are."""

import threading

import numpy as np
import pytest

from ponant.engine.kernels.packing import Pool, pack
from tests.engine.kernels.stored import StoredMatrix


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_many_short_calls_lose_no_task(threads: int) -> None:
    pool = Pool(threads)
    packed = pack(StoredMatrix("Q8_0", 640, 64), None, pool)
    x = np.random.default_rng(0).normal(0, 1, (3, 64)).astype(np.float32)
    first = packed.multiply(pool, x)
    for _ in range(2000):
        assert np.array_equal(packed.multiply(pool, x), first)
    pool.close()


def test_sleeping_threads_wake() -> None:
    pool = Pool(3)
    packed = pack(StoredMatrix("Q8_0", 640, 64), None, pool)
    x = np.ones((3, 64), np.float32)
    first = packed.multiply(pool, x)
    pause = threading.Event()
    for _ in range(50):
        pause.wait(0.002)  # longer than a thread spins
        assert np.array_equal(packed.multiply(pool, x), first)
    pool.close()


def test_a_closed_pool_is_refused() -> None:
    pool = Pool(2)
    pool.close()
    pool.close()
    with pytest.raises(ValueError, match="closed"):
        _ = pool.pointer


def test_by_default_there_is_a_thread_for_each_processor() -> None:
    pool = Pool()
    assert pool.threads >= 1
    pool.close()
