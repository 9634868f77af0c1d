"""One batch of background work at a time, beside which chat keeps its share of the cores."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from ponant.serving.line import Line
from ponant.serving.turns import Turns

_GLANCE = 0.002  # seconds


class Background:
    """A place for one batch; while it waits for chat to have its share, a lower rank takes it.

    Args:
        turns: at the cores; None takes none.
    """

    def __init__(self, turns: Turns | None) -> None:
        self._turns = turns
        self._line = Line()

    @asynccontextmanager
    async def turn(self, rank: int) -> AsyncIterator[None]:
        """Hold the place and a turn at the cores while the block runs."""
        if self._turns is None:
            async with self._line.turn(rank):
                yield
            return
        async with AsyncExitStack() as stack:
            await self._take(stack, self._turns, rank)
            yield

    async def _take(self, stack: AsyncExitStack, turns: Turns, rank: int) -> None:
        while True:
            async with AsyncExitStack() as place:
                await place.enter_async_context(self._line.turn(rank))
                while not self._line.is_wanted_before(rank):
                    if turns.is_due():
                        await asyncio.to_thread(place.enter_context, turns.batch())
                        stack.push_async_exit(place.pop_all())
                        return
                    await asyncio.sleep(_GLANCE)
