"""Turns at the processor's cores, taken by worker processes through one small file.

A chat model takes a turn for each of its steps; background embedding takes one for each of its
short batches, and before the next lets chat have its share. Two that compute at once would both
wait for each other's threads at every barrier. What a person waits for, a search, takes no turn.
The lock is the file's, so that a process that dies gives its turn back.
"""

import fcntl
import mmap
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_SHARE: Final = 2.2  # seconds of chat for each that background work took, where chat wants them
_PAUSE: Final = 0.1  # seconds between two steps; after more of them nobody wants a turn
_GLANCE: Final = 0.0005
_COURTESY: Final = 0.005  # seconds that a step waits for background work to take its turn
_STALE: Final = 1.0  # seconds after which who asked for a turn is taken to be gone

_USED, _BEGUN, _ENDED, _ASKED = range(4)  # seconds of chat; the rest in time.monotonic()


class Turns:
    """A process's access to the turns: either for chat or for background work, in one thread.

    Args:
        path: the file, the same for all who share the cores; made if need be.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = 8 * len((_USED, _BEGUN, _ENDED, _ASKED))
        os.ftruncate(self._file, size)
        self._board = memoryview(mmap.mmap(self._file, size)).cast("d")
        self._next_batch = 0.0  # when chat has used so much

    @contextmanager
    def step(self) -> Iterator[None]:
        """A turn for a step of chat."""
        board = self._board
        self._let_background_in()
        with self._held():
            board[_BEGUN] = begun = time.monotonic()
            try:
                yield
            finally:
                board[_ENDED] = now = time.monotonic()
                board[_USED] += now - begun

    @contextmanager
    def batch(self) -> Iterator[None]:
        """A turn for a batch of background work; waits until chat has had its share."""
        board = self._board
        while not self.is_due():
            time.sleep(_GLANCE)
        board[_ASKED] = time.monotonic()
        with self._held():
            board[_ASKED] = 0.0
            begun = time.monotonic()
            try:
                yield
            finally:
                self._next_batch = board[_USED] + _SHARE * (time.monotonic() - begun)

    def is_due(self) -> bool:
        """Whether chat has had its share since the last batch, or does not want it."""
        return not self._is_chat_there() or self._used() >= self._next_batch

    @contextmanager
    def _held(self) -> Iterator[None]:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _let_background_in(self) -> None:
        """Wait a moment for who has asked: who gives a lock back would be first to take it."""
        begun = time.monotonic()
        while begun - _STALE < self._board[_ASKED] and time.monotonic() < begun + _COURTESY:
            time.sleep(_GLANCE / 5)

    def _used(self) -> float:
        """Seconds of chat so far, with those of a step that runs."""
        board = self._board
        runs = board[_BEGUN] > board[_ENDED]
        return board[_USED] + (time.monotonic() - board[_BEGUN] if runs else 0.0)

    def _is_chat_there(self) -> bool:
        board = self._board
        return board[_BEGUN] > board[_ENDED] or time.monotonic() < board[_ENDED] + _PAUSE
