"""A full disk keeps the old version answering, is shown, and loses nothing once there is room."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event

from ponant.kit import SystemClock
from ponant.live.knowledge import Knowledge
from ponant.store import Database
from tests.fakes.embedder import FakeEmbedder
from tests.live.conftest import SCOPE, Installation, eventually, in_step
from tests.live.crash.agreement import disagreements


class _Disk:
    """A disk of a settable size below SQLite, which then says that it is full."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_full = False
        event.listen(database.engine, "connect", self._prepare)

    def fill(self, *, full: bool) -> None:
        self._is_full = full
        self._database.engine.dispose()

    def _prepare(self, connection: Any, _record: Any) -> None:
        if self._is_full:  # the least is what the file has now
            connection.execute("PRAGMA max_page_count = 1")


@asynccontextmanager
async def _running(installation: Installation) -> AsyncIterator[tuple[Knowledge, _Disk]]:
    database = Database.at(installation.home / "live.db")
    database.migrate("live")
    disk = _Disk(database)
    roots = [installation.folder.resolve()]
    knowledge = Knowledge(
        installation.home, roots, database, SystemClock(), installation.changes.append
    )
    await knowledge.start()
    try:
        await knowledge.connect(FakeEmbedder())
        yield knowledge, disk
    finally:
        await knowledge.close()
        database.close()


def test_a_full_disk_keeps_the_old_version_answering(installation: Installation) -> None:
    def text(key: str) -> str:
        return "\n\n".join(f"## Room {n}\n\nThe {key} key opens room {n}. " * 40 for n in range(60))

    async def run() -> None:
        installation.write("a.md", text("brass"))
        async with _running(installation) as (knowledge, disk):
            library = await knowledge.create_library(SCOPE, "Handbook")
            config = {"path": str(installation.folder)}
            source = await knowledge.add_source(SCOPE, library.id, "folder", config)
            before = await in_step(knowledge, library.id, 1)
            disk.fill(full=True)
            installation.write("a.md", text("silver"))
            installation.write("b.md", text("golden"))

            async def state():
                (found,) = await knowledge.list_sources(SCOPE, library.id)
                return found

            shown = await eventually(state, lambda source: source.state == "error")
            assert shown.id == source.id
            assert "full" in shown.message
            found = await knowledge.search(SCOPE, [library.id], "Which key opens room 7?", 20)
            assert found.hits
            assert all("brass" in hit.text for hit in found.hits)
            assert found.version == before.freshness.version
            disk.fill(full=False)
            await eventually(
                lambda: knowledge.get_library(SCOPE, library.id),
                lambda one: one.documents == 2 and one.freshness.state == "in_step",
            )
            found = await knowledge.search(SCOPE, [library.id], "Which key opens room 7?", 20)
            assert not any("brass" in hit.text for hit in found.hits)
        assert disagreements(installation.home) == []

    asyncio.run(run())
