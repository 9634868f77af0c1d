"""The line: by rank and then by arrival, and nobody is stuck when one who waits goes away."""

import asyncio

import pytest

from ponant.serving.line import Line

pytestmark = pytest.mark.anyio


async def stand(line: Line, rank: int, name: str, order: list[str]) -> None:
    async with line.turn(rank):
        order.append(name)
        await asyncio.sleep(0)


async def test_lower_ranks_go_first() -> None:
    line, order = Line(), list[str]()
    async with asyncio.TaskGroup() as tasks:
        for rank, name in ((1, "a"), (1, "b"), (0, "c"), (1, "d"), (0, "e")):
            tasks.create_task(stand(line, rank, name, order))
    assert order == ["a", "c", "e", "b", "d"]


async def test_who_leaves_holds_up_nobody() -> None:
    line, order = Line(), list[str]()
    async with asyncio.TaskGroup() as tasks:
        async with line.turn(0):
            waiting = [tasks.create_task(stand(line, 0, name, order)) for name in "abc"]
            await asyncio.sleep(0)
            waiting[0].cancel()
        waiting[1].cancel()  # it has been handed the lock and has not run since
    assert order == ["c"]
    async with line.turn(0):
        pass
