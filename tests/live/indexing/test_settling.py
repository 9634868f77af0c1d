"""What is stored answers at once; whoever would not tell it again waits until the disk has it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ponant.live.indexing.settling import Settling
from ponant.live.knowledge import Knowledge
from ponant.live.sources import kinds
from ponant.live.sources.kind import Kind
from ponant.live.sources.port import Batch, Content, Found
from ponant.live.sources.push import PushConfig, PushedDocument
from tests.live.conftest import SCOPE, Installation, eventually, in_step


class _Disk:
    """A disk that takes what was stored once it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.begun = 0
        self.done = 0
        self.is_well = True

    def settle(self) -> None:
        self.begun += 1
        self.let.wait()
        if not self.is_well:
            raise OSError("The disk is gone.")
        self.done += 1


@contextmanager
def _disk_of(knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Disk]:
    disk = _Disk()
    monkeypatch.setattr(knowledge._index.database, "settle", disk.settle)
    try:
        yield disk
    finally:
        disk.let.set()


def test_what_is_stored_during_a_turn_has_the_next() -> None:
    async def run() -> None:
        disk: Any = _Disk()
        settling = Settling(disk)
        settling.stored()
        await eventually(_of(lambda: disk.begun), bool)
        settling.stored()  # perhaps after the disk was asked
        waiting = asyncio.create_task(settling.settled())
        disk.let.set()
        await waiting
        assert disk.done == 2
        await settling.settled()
        assert disk.done == 2, "nothing was stored since"
        await settling.close()

    asyncio.run(run())


def test_a_disk_that_fails_is_told_and_asked_again() -> None:
    async def run() -> None:
        disk: Any = _Disk()
        disk.is_well = False
        disk.let.set()
        settling = Settling(disk)
        settling.stored()
        for _ in range(2):
            with pytest.raises(OSError, match="gone"):
                await settling.settled()
        disk.is_well = True
        await settling.settled()
        assert disk.done == 1
        await settling.close()

    asyncio.run(run())


class _Log:
    """A source of two documents that forgets the first when it is asked for the second."""

    interval = None
    asked = 0

    async def batches(self, _cursor: Any) -> AsyncIterator[Batch]:
        for number in (1, 2):
            self.asked = number
            cursor = {"next": number}
            found = Found(key=f"{number}", signature="", name="n", read=_read, cursor=cursor)
            yield Batch(changes=[found], complete=False)
        await asyncio.Event().wait()


async def _read() -> Content:
    return Content.of(b"The ferry leaves at noon.", "")


def test_a_log_is_asked_for_more_once_the_disk_has_what_it_told(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = _Log()
    kind = Kind(
        name="forgetful", config=PushConfig, open=lambda *_: log, reaches="none", hint="a test's"
    )

    async def run() -> None:
        kinds.register(kind)
        async with installation.running() as knowledge:
            with _disk_of(knowledge, monkeypatch) as disk:
                library = await knowledge.create_library(SCOPE, "Handbook")
                await knowledge.add_source(SCOPE, library.id, "forgetful", {}, trusted=True)
                found = await eventually(
                    lambda: knowledge.search(SCOPE, [library.id], "ferry"),
                    lambda found: bool(found.hits),
                )
                assert len(found.hits) == 1
                await eventually(_of(lambda: disk.begun), bool)
                assert (log.asked, disk.done) == (1, 0)
                disk.let.set()
                await in_step(knowledge, library.id, 2)

    asyncio.run(run())


def test_a_push_returns_once_the_disk_has_it(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with installation.running() as knowledge:
            with _disk_of(knowledge, monkeypatch) as disk:
                library = await knowledge.create_library(SCOPE, "Handbook")
                document = PushedDocument(key="1", text="The ferry leaves at noon.")
                push = knowledge._followers.push(SCOPE, library.id, [document], [])
                pushing = asyncio.create_task(push)
                await eventually(
                    lambda: knowledge.search(SCOPE, [library.id], "ferry"),
                    lambda found: bool(found.hits),
                )
                assert not pushing.done()
                disk.let.set()
                assert [one.state for one in (await pushing).documents] == ["stored"]

    asyncio.run(run())


def test_a_folder_is_read_on_before_the_disk_has_what_it_told(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        installation.write("a.md", "The ferry leaves at noon.")
        async with installation.running() as knowledge:
            with _disk_of(knowledge, monkeypatch) as disk:
                library = await knowledge.create_library(SCOPE, "Handbook")
                config = {"path": str(installation.folder)}
                await knowledge.add_source(SCOPE, library.id, "folder", config)
                await in_step(knowledge, library.id, 1)
                installation.write("b.md", "The train leaves at one.")
                await in_step(knowledge, library.id, 2)
                assert disk.done == 0

    asyncio.run(run())


def _of(value: Any) -> Any:
    async def ask() -> Any:
        return value()

    return ask
