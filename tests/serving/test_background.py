"""Background work: one batch at a time, an edit before a sync that waits for its share."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ponant.serving.background import Background
from ponant.serving.turns import Turns
from tests.patience import tries

pytestmark = pytest.mark.anyio

_EDIT, _SYNC = 1, 2


class _HeldTurns(Turns):
    """Chat has had its share when the test says so."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.due = False
        self.looks = 0

    def is_due(self) -> bool:
        self.looks += 1
        return self.due

    @contextmanager
    def batch(self) -> Iterator[None]:
        yield


async def _embed(background: Background, rank: int, name: str, order: list[str]) -> None:
    async with background.turn(rank):
        order.append(name)
        await asyncio.sleep(0)


async def test_an_edit_goes_before_a_sync_that_waits_for_its_share(tmp_path: Path) -> None:
    turns, order = _HeldTurns(tmp_path / "turns"), list[str]()
    background = Background(turns)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_embed(background, _SYNC, "sync", order))
        for _ in tries():
            if turns.looks:
                break
            await asyncio.sleep(0.001)
        tasks.create_task(_embed(background, _EDIT, "edit", order))
        await asyncio.sleep(0)
        assert order == []
        turns.due = True
    assert order == ["edit", "sync"]


async def test_who_fails_or_leaves_gives_the_place_back(tmp_path: Path) -> None:
    for background in (Background(Turns(tmp_path / "turns")), Background(None)):
        with pytest.raises(RuntimeError):
            async with background.turn(_SYNC):
                raise RuntimeError
        async with background.turn(_SYNC):
            waiting = asyncio.create_task(_embed(background, _EDIT, "gone", []))
            await asyncio.sleep(0)
            waiting.cancel()
        order: list[str] = []
        await _embed(background, _SYNC, "next", order)
        assert order == ["next"]
