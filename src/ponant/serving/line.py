"""A line in which some may go to the front."""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Line:
    """A lock for tasks: those who wait for it get it by rank, and by arrival within a rank."""

    def __init__(self) -> None:
        self._taken = False
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    @asynccontextmanager
    async def turn(self, rank: int) -> AsyncIterator[None]:
        """Hold the lock while the block runs; lower ranks go first."""
        await self._take(rank)
        try:
            yield
        finally:
            self._give_back()

    def is_wanted_before(self, rank: int) -> bool:
        """Whether somebody of a lower rank waits."""
        return any(one < rank and not theirs.done() for one, _, theirs in self._waiting)

    async def _take(self, rank: int) -> None:
        if not self._taken:
            self._taken = True
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._numbers), mine))
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._give_back()
            raise

    def _give_back(self) -> None:
        """Hand the lock to the first who still waits."""
        while self._waiting:
            _, _, theirs = heapq.heappop(self._waiting)
            if not theirs.done():
                theirs.set_result(None)
                return
        self._taken = False
