"""What may not be shown any more is told at once to those who keep anything of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ponant.kit import SystemClock
from ponant.live.knowledge import Knowledge
from ponant.live.port import Notice
from ponant.store import Database
from tests.fakes.embedder import FakeEmbedder
from tests.live.conftest import SCOPE, Installation, eventually, in_step


@asynccontextmanager
async def _running(
    installation: Installation, told: list[Notice]
) -> AsyncIterator[tuple[Knowledge, str]]:
    """Live knowledge over the folder, and the library that follows it."""
    database = Database.at(installation.home / "live.db")
    database.migrate("live")
    roots = [installation.folder.resolve()]
    knowledge = Knowledge(
        installation.home, roots, database, SystemClock(), lambda _: None, told.append
    )
    await knowledge.start()
    try:
        await knowledge.connect(FakeEmbedder())
        library = await knowledge.create_library(SCOPE, "Handbook")
        config = {"path": str(installation.folder)}
        await knowledge.add_source(SCOPE, library.id, "folder", config)
        await in_step(knowledge, library.id)
        yield knowledge, library.id
    finally:
        await knowledge.close()
        database.close()


def _withdrawn(told: list[Notice]) -> set[str]:
    return {key for notice in told if notice.part == "withdrawn" for key in notice.keys}


def test_an_edit_withdraws_the_passages_that_it_changed(installation: Installation) -> None:
    async def run() -> None:
        told: list[Notice] = []
        installation.write("a.md", "# Desk\n\nIt opens at 08:30.\n\n# Gate\n\nIt closes at 18:00.")
        async with _running(installation, told) as (knowledge, library_id):
            before = (await knowledge.search(SCOPE, [library_id], "opens closes")).hits
            [desk] = [hit for hit in before if "08:30" in hit.text]
            [gate] = [hit for hit in before if "18:00" in hit.text]
            assert _withdrawn(told) == set()
            installation.write(
                "a.md", "# Desk\n\nIt opens at 09:00.\n\n# Gate\n\nIt closes at 18:00."
            )
            await eventually(lambda: asyncio.sleep(0, _withdrawn(told)), bool)
            assert desk.passage_id in _withdrawn(told)
            assert gate.passage_id not in _withdrawn(told)

    asyncio.run(run())


def test_a_deletion_withdraws_the_document_and_a_library_all_of_its(
    installation: Installation,
) -> None:
    async def run() -> None:
        told: list[Notice] = []
        installation.write("a.md", "The desk opens at 08:30.")
        installation.write("b.md", "The gate closes at 18:00.")
        async with _running(installation, told) as (knowledge, library_id):
            documents = {
                one.name: one.id for one in await knowledge.list_documents(SCOPE, library_id)
            }
            (installation.folder / "a.md").unlink()
            await eventually(lambda: asyncio.sleep(0, _withdrawn(told)), bool)
            assert documents["a.md"] in _withdrawn(told)
            assert documents["b.md"] not in _withdrawn(told)
            await knowledge.delete_library(SCOPE, library_id)
            assert library_id in _withdrawn(told)

    asyncio.run(run())
