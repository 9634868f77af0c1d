"""A kept search is told of what would change it, and of nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ponant.kit import SystemClock
from ponant.live.knowledge import Knowledge
from ponant.live.port import Hit, Notice, PassageRef
from ponant.store import Database
from tests.fakes.embedder import FakeEmbedder
from tests.live.conftest import SCOPE, STRANGER, Installation, eventually, in_step


@asynccontextmanager
async def _running(
    installation: Installation, told: list[Notice], embedder: FakeEmbedder | None = None
) -> AsyncIterator[Knowledge]:
    database = Database.at(installation.home / "live.db")
    database.migrate("live")
    knowledge = Knowledge(
        installation.home,
        [installation.folder.resolve()],
        database,
        SystemClock(),
        installation.changes.append,
        lambda notice: told.append(notice) if notice.part == "standing" else None,
    )
    await knowledge.start()
    try:
        await knowledge.connect(embedder or FakeEmbedder())
        yield knowledge
    finally:
        await knowledge.close()
        database.close()


async def _library(knowledge: Knowledge, installation: Installation) -> str:
    library = await knowledge.create_library(SCOPE, "Handbook")
    await knowledge.add_source(SCOPE, library.id, "folder", {"path": str(installation.folder)})
    return library.id


async def _evidence(
    knowledge: Knowledge, library_id: str, query: str, limit: int
) -> list[PassageRef]:
    found = await knowledge.search(SCOPE, [library_id], query, limit)
    return [_ref(one) for one in found.hits]


def _ref(hit: Hit) -> PassageRef:
    return PassageRef(id=hit.passage_id, hash=hit.hash)


async def _watch(
    knowledge: Knowledge, library_id: str, query: str = "When does the desk open?", limit: int = 2
) -> bool:
    evidence = await _evidence(knowledge, library_id, query, limit)
    return await knowledge.parts["standing"].put(
        SCOPE, "wat_1", [library_id], query, limit, evidence
    )


def _corpus(installation: Installation) -> None:
    installation.write("desk.md", "# Desk\n\nThe desk opens at 08:30.")
    installation.write("keys.md", "# Keys\n\nThe desk hands out keys when it is open.")
    for name in ("cats", "bees", "whales", "parrots", "ants", "owls", "mice", "crows"):
        installation.write(f"{name}.md", f"# {name.title()}\n\nAbout {name}: {name} sleep a lot.")


def test_an_edit_of_the_evidence_is_told_once(installation: Installation) -> None:
    async def run() -> None:
        _corpus(installation)
        told: list[Notice] = []
        async with _running(installation, told) as knowledge:
            library_id = await _library(knowledge, installation)
            await in_step(knowledge, library_id, 10)
            assert await _watch(knowledge, library_id) is False
            standing = knowledge.parts["standing"]
            question = "When does the desk open?"
            shown = await _evidence(knowledge, library_id, question, 2)
            put = standing.put
            assert await put(SCOPE, "wat_1", [library_id], question, 2, shown[::-1]) is False
            assert await standing.moved(SCOPE) == []  # another order is no change

            installation.write("desk.md", "# Desk\n\nThe desk opens at 09:15.")
            await eventually(lambda: asyncio.sleep(0, told), lambda notices: bool(notices))
            assert await standing.moved(SCOPE) == ["wat_1"]
            assert [one.keys for one in told] == [("wat_1",)]
            assert told[0].workspace_id == SCOPE.workspace_id
            assert await standing.moved(STRANGER) == []

            installation.write("desk.md", "# Desk\n\nThe desk opens at 10:00.")
            await eventually(
                lambda: knowledge.search(SCOPE, [library_id], "When does the desk open?", 2),
                lambda found: any("10:00" in hit.text for hit in found.hits),
            )
            await in_step(knowledge, library_id, 10)
            await standing.match()
            assert len(told) == 1  # until somebody has looked, the first word is enough

            assert await _watch(knowledge, library_id) is False
            assert await standing.moved(SCOPE) == []

    asyncio.run(run())


def test_a_new_document_that_enters_is_told_and_one_that_does_not_is_not(
    installation: Installation,
) -> None:
    async def run() -> None:
        _corpus(installation)
        told: list[Notice] = []
        async with _running(installation, told) as knowledge:
            library_id = await _library(knowledge, installation)
            await in_step(knowledge, library_id, 10)
            await _watch(knowledge, library_id)
            standing = knowledge.parts["standing"]

            installation.write("foxes.md", "# Foxes\n\nFoxes live in the forest.")
            await in_step(knowledge, library_id, 11)
            await standing.match()
            assert told == []

            installation.write("new.md", "# Desk\n\nWhen does the desk open? The desk opens at 7.")
            await eventually(lambda: standing.moved(SCOPE), lambda ids: ids == ["wat_1"])

    asyncio.run(run())


def test_a_passage_that_enters_once_its_vector_follows_is_told(installation: Installation) -> None:
    async def run() -> None:
        _corpus(installation)
        told: list[Notice] = []
        async with _running(installation, told) as knowledge:
            library_id = await _library(knowledge, installation)
            await in_step(knowledge, library_id, 10)
            assert await _watch(knowledge, library_id, limit=3) is False
            # So many at once are embedded behind the keywords, and none of them has a telling word.
            rooms = [f"## Room {number}\n\nRoom {number} is empty." for number in range(40)]
            said = "## Else\n\nWhen does the, when does the: when does the, when does the."
            installation.write("rooms.md", "\n\n".join([*rooms, said]))
            standing = knowledge.parts["standing"]
            await eventually(lambda: standing.moved(SCOPE), lambda ids: ids == ["wat_1"])
            await eventually(lambda: asyncio.sleep(0, told), lambda notices: bool(notices))

    asyncio.run(run())


def test_what_happened_while_nobody_matched_is_found_at_the_next_start(
    installation: Installation,
) -> None:
    async def run() -> None:
        _corpus(installation)
        told: list[Notice] = []
        async with _running(installation, told) as knowledge:
            library_id = await _library(knowledge, installation)
            await in_step(knowledge, library_id, 10)
            await _watch(knowledge, library_id)
            knowledge.parts["standing"].notice = lambda *_: None  # as if killed before matching
            installation.write("desk.md", "# Desk\n\nThe desk opens at 09:15.")
            await eventually(
                lambda: knowledge.search(SCOPE, [library_id], "desk opens 09:15", 1),
                lambda found: "09:15" in found.hits[0].text,
            )
        assert told == []
        async with _running(installation, told) as knowledge:
            standing = knowledge.parts["standing"]
            await eventually(lambda: asyncio.sleep(0, told), lambda notices: bool(notices))
            assert await standing.moved(SCOPE) == ["wat_1"]
            assert [one.keys for one in told] == [("wat_1",)]
            assert await standing.missing(SCOPE, ["wat_1", "wat_2"]) == ["wat_2"]
            await standing.remove(SCOPE, "wat_1")
            assert await standing.missing(SCOPE, ["wat_1"]) == ["wat_1"]

    asyncio.run(run())


def test_a_library_that_goes_moves_what_was_asked_of_it(installation: Installation) -> None:
    async def run() -> None:
        _corpus(installation)
        told: list[Notice] = []
        async with _running(installation, told) as knowledge:
            library_id = await _library(knowledge, installation)
            await in_step(knowledge, library_id, 10)
            await _watch(knowledge, library_id)
            await knowledge.delete_library(SCOPE, library_id)
            standing = knowledge.parts["standing"]
            await eventually(lambda: standing.moved(SCOPE), lambda ids: ids == ["wat_1"])

    asyncio.run(run())
