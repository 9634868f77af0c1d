"""How far a sync is, while it goes on: drawn by the command line."""

import asyncio
from functools import partial
from io import StringIO
from typing import Any, cast

from rich.console import Console

from ponant.cli import following
from ponant.live import LiveClient
from ponant.live.knowledge import Knowledge
from ponant.live.port import Progress, Source
from ponant.live.sources.kind import Kind
from ponant.live.sources.kinds import register
from ponant.live.sources.port import Batch, Content, Found
from ponant.live.sources.push import PushConfig
from tests.live.conftest import SCOPE, Installation, eventually
from tests.patience import PATIENCE

_ALL, _READ = 40, 25


class _Halting:
    """A source of forty documents, of which the first cannot be read and the last are held back."""

    interval = None

    def __init__(self) -> None:
        self.let = asyncio.Event()

    async def batches(self, _cursor: Any) -> Any:
        found = [
            Found(key=f"{number:02}", signature="", name=f"{number}.md", read=self._reading(number))
            for number in range(_ALL)
        ]
        yield Batch(changes=found, complete=True, seen=_ALL)
        await asyncio.Event().wait()

    def _reading(self, number: int) -> Any:
        async def read() -> Content:
            await asyncio.sleep(0.02)  # longer in all than between two notes of the follower
            if number >= _READ:
                await self.let.wait()
            data = b"\0\0" if number == 0 else f"Room {number} has a window.".encode()
            return Content.of(data, "")

        return read


def test_a_sync_that_goes_on_is_drawn_with_its_counts_rate_and_time(
    installation: Installation,
) -> None:
    async def run() -> None:
        source = _Halting()
        register(
            Kind(
                name="halting",
                config=PushConfig,
                open=lambda *_: source,
                reaches="none",
                hint="a test's",
            )
        )
        async with installation.running() as knowledge:
            library = await knowledge.create_library(SCOPE, "Rooms")
            await knowledge.add_source(SCOPE, library.id, "halting", {}, trusted=True)
            drawn, shown = await _drawn(knowledge, _is_halfway)
            assert (shown.seen, shown.failed) == (_ALL, 1)
            assert 0 < shown.parsed < _ALL
            assert 0 < shown.embedded <= shown.parsed
            assert f"{shown.pending} at {shown.rate:.0f}/s, {shown.seconds_left:.0f} s" in drawn
            for name in ("Seen", "Parsed", "Embedded", "Failed", "Left", "Rooms", "syncing"):
                assert name in drawn
            counts = (shown.seen, shown.parsed, shown.embedded, shown.failed)
            (line,) = [one for one in drawn.splitlines() if "Rooms" in one]
            assert [int(cell) for cell in _cells(line)[3:7]] == list(counts)
            source.let.set()
            drawn, shown = await _drawn(knowledge, _is_whole)
            (line,) = [one for one in drawn.splitlines() if "Rooms" in one]
            assert _cells(line)[2:7] == ["in step", "40", "39", "39", "1"]
            # Those who listen are told the same.
            told = await eventually(
                partial(_told, installation),
                lambda told: any(
                    one.state == "in_step" and one.embedded == _ALL - 1 for one in told
                ),
            )
            assert any(
                one.state == "syncing"
                and one.rate
                and one.seconds_left
                and 0 < one.embedded <= one.parsed < _ALL
                for one in told
            )
            ended = told[-1]
            assert (ended.seen, ended.indexed, ended.failed, ended.pending) == (_ALL, 39, 1, 0)
            assert (ended.state, ended.parsed, ended.embedded) == ("in_step", 39, 39)

    asyncio.run(run())


def _is_halfway(now: Any) -> bool:
    (_, source), *_ = now
    counted = source.parsed and source.embedded and source.failed and source.pending
    return bool(source.state == "syncing" and counted and source.seconds_left is not None)


def _is_whole(now: Any) -> bool:
    (_, source), *_ = now
    return following.is_done(now) and source.embedded == _ALL - 1


async def _told(installation: Installation) -> list[Progress]:
    return [one for change in installation.changes for one in change.sources]


async def _drawn(knowledge: Knowledge, until: Any) -> tuple[str, Source]:
    """What was drawn last before it was as wanted, and of what."""
    told: list[Source] = []

    def fits(now: Any) -> bool:
        told[:] = [source for _, source in now]
        return bool(until(now))

    console = Console(file=StringIO(), width=200)
    live = cast("LiveClient", knowledge)
    async with asyncio.timeout(PATIENCE):
        await following.watch(live, SCOPE, console, until=fits)
    return cast("StringIO", console.file).getvalue(), told[-1]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("│┃ \n").split("│")]
