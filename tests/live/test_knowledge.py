"""A folder is followed: what is in it answers, what is not does not."""

import asyncio
import os

import pytest

from ponant.kit.errors import BadRequest, Conflict, NotFound
from ponant.live.indexing import ingestion
from ponant.live.port import PassageRef
from ponant.live.reading import chunking
from tests.fakes.embedder import FakeEmbedder, HeldEmbedder
from tests.live.conftest import SCOPE, STRANGER, Installation, eventually, in_step
from tests.live.documents import docx, pdf


async def _library(knowledge, installation: Installation) -> str:
    library = await knowledge.create_library(SCOPE, "Handbook")
    await knowledge.add_source(SCOPE, library.id, "folder", {"path": str(installation.folder)})
    return library.id


async def _texts(knowledge, library_id: str, query: str) -> list[str]:
    return [hit.text for hit in (await knowledge.search(SCOPE, [library_id], query)).hits]


def test_every_kind_of_file_is_found(installation: Installation) -> None:
    async def run() -> None:
        installation.write("a.txt", "Parrots sleep at night.")
        installation.write("b.md", "# Cats\n\nCats sleep by day.")
        installation.write("c.html", "<html><body><h1>Bees</h1><p>Bees dance.</p></body></html>")
        (installation.folder / "d.docx").write_bytes(docx("Whales sing.", heading="Whales"))
        (installation.folder / "e.pdf").write_bytes(pdf("Ants carry leaves."))
        (installation.folder / "f.iso").write_bytes(b"PK")
        async with installation.running() as knowledge:
            library_id = await _library(knowledge, installation)
            library = await in_step(knowledge, library_id, 5)
            assert library.freshness.message == "1 files of other kinds are left out."
            for query, word in {
                "parrots": "Parrots",
                "cats": "Cats",
                "bees dance": "Bees",
                "whales sing": "Whales",
                "what carries leaves": "Ants",
            }.items():
                assert word in (await _texts(knowledge, library_id, query))[0]

    asyncio.run(run())


def test_edit_new_file_and_deletion_show(installation: Installation) -> None:
    async def run() -> None:
        installation.write("a.md", "# Desk\n\nThe desk opens at 08:30.")
        async with installation.running() as knowledge:
            library_id = await _library(knowledge, installation)
            await in_step(knowledge, library_id, 1)

            async def first() -> str:
                return " ".join(await _texts(knowledge, library_id, "desk opens keys"))

            for act, fits in (
                (lambda: installation.write("a.md", "# Desk\n\nThe desk opens at 09:15."), "09:15"),
                (lambda: installation.write("sub/b.md", "Keys hang by the door."), "Keys"),
                (lambda: (installation.folder / "sub" / "b.md").unlink(), None),
            ):
                act()
                await eventually(
                    first, lambda text, fits=fits: fits in text if fits else "Keys" not in text
                )
            assert "08:30" not in await first()

    asyncio.run(run())


def test_a_rewrite_in_the_same_second_of_the_same_size_is_seen(installation: Installation) -> None:
    async def run() -> None:
        installation.write("a.txt", "The code is 1111.")
        async with installation.running() as knowledge:
            library_id = await _library(knowledge, installation)
            await in_step(knowledge, library_id, 1)
            path = installation.folder / "a.txt"
            for code in ("2222", "3333", "4444"):
                status = path.stat()
                path.write_text(f"The code is {code}.")
                os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
                await eventually(
                    lambda: _texts(knowledge, library_id, "code"),
                    lambda texts, code=code: texts == [f"The code is {code}."],
                )

    asyncio.run(run())


def test_a_restart_embeds_nothing_and_keeps_passages(installation: Installation) -> None:
    async def run() -> None:
        for number in range(20):
            installation.write(f"{number}.md", f"# Room {number}\n\nRoom {number} has a window.")
        async with installation.running() as knowledge:
            library_id = await _library(knowledge, installation)
            version = (await in_step(knowledge, library_id, 20)).freshness.version
            before = (await knowledge.search(SCOPE, [library_id], "room 7")).hits
        second = FakeEmbedder()
        async with installation.running(second) as knowledge:
            library = await in_step(knowledge, library_id, 20)
            after = (await knowledge.search(SCOPE, [library_id], "room 7")).hits
            assert library.freshness.version == version
        assert second.passages == []
        assert after == before
        assert after[0].vector_rank is not None

    asyncio.run(run())


def test_one_paragraph_of_a_hundred_costs_two_embeddings(installation: Installation) -> None:
    async def run() -> None:
        paragraphs = [
            f"Paragraph {n} says that the room with the number {n} lies on floor {n // 10}, "
            "next to the stairs, and that its window looks over the harbour to the west."
            for n in range(100)
        ]
        installation.write("a.md", "# Rooms\n\n" + "\n\n".join(paragraphs))
        embedder = FakeEmbedder()
        async with installation.running(embedder) as knowledge:
            library_id = await _library(knowledge, installation)
            await in_step(knowledge, library_id, 1)
            assert len(embedder.passages) >= 50
            embedder.passages.clear()
            paragraphs[40] = paragraphs[40].replace("west", "north")
            installation.write("a.md", "# Rooms\n\n" + "\n\n".join(paragraphs))
            await eventually(
                lambda: _texts(knowledge, library_id, "north"),
                lambda texts: any("north" in text for text in texts),
            )
            await in_step(knowledge, library_id)
            assert 1 <= len(set(embedder.passages)) <= 2

    asyncio.run(run())


def test_what_became_of_a_passage(installation: Installation) -> None:
    async def run() -> None:
        text = (
            "# A\n\nThe alarm is tested on Monday.\n\n"
            "# B\n\nThe boiler is in the cellar.\n\n# C\n\nCoffee is free."
        )
        installation.write("a.md", text)
        async with installation.running() as knowledge:
            library_id = await _library(knowledge, installation)
            await in_step(knowledge, library_id, 1)
            hits = (await knowledge.search(SCOPE, [library_id], "alarm boiler coffee")).hits
            by_letter = {hit.heading: hit for hit in hits}
            refs = [PassageRef(id=by_letter[k].passage_id, hash=by_letter[k].hash) for k in "ABC"]

            async def states() -> list[str]:
                return [one.state for one in await knowledge.check_passages(SCOPE, refs)]

            assert await states() == ["current"] * 3
            edited = text.replace("Monday", "Tuesday").replace("# C\n\nCoffee is free.", "")
            installation.write("a.md", edited)
            await eventually(states, lambda found: found == ["changed", "current", "gone"])
            told = await knowledge.check_passages(SCOPE, refs)
            assert told[0].changed_at is not None
            installation.write("a.md", text)
            await eventually(states, lambda found: found == ["current"] * 3)
            (installation.folder / "a.md").unlink()
            await eventually(states, lambda found: found == ["gone"] * 3)
            assert [one.state for one in await knowledge.check_passages(STRANGER, refs)] == [
                "gone"
            ] * 3

    asyncio.run(run())


def test_a_renamed_file_keeps_its_passages(installation: Installation) -> None:
    async def run() -> None:
        installation.write("a.md", "The boiler is in the cellar.")
        embedder = FakeEmbedder()
        async with installation.running(embedder) as knowledge:
            library_id = await _library(knowledge, installation)
            await in_step(knowledge, library_id, 1)
            (before,) = (await knowledge.search(SCOPE, [library_id], "boiler")).hits
            embedder.passages.clear()
            (installation.folder / "a.md").rename(installation.folder / "b.md")
            hits = await eventually(
                lambda: knowledge.search(SCOPE, [library_id], "boiler"),
                lambda found: [hit.document_name for hit in found.hits] == ["b.md"],
            )
            assert hits.hits[0].passage_id == before.passage_id
            installation.write("copy.md", "The boiler is in the cellar.")
            await eventually(
                lambda: knowledge.search(SCOPE, [library_id], "boiler"),
                lambda found: [hit.vector_rank for hit in found.hits] == [1, 2],
            )
            assert embedder.passages == [], "what was embedded once is known by its text"

    asyncio.run(run())


def test_a_failed_update_keeps_the_old_text_and_says_so(installation: Installation) -> None:
    async def run() -> None:
        (installation.folder / "a.pdf").write_bytes(pdf("Ants carry leaves."))
        installation.write("b.txt", "Bees dance.")
        async with installation.running() as knowledge:
            library_id = await _library(knowledge, installation)
            await in_step(knowledge, library_id, 2)
            (installation.folder / "a.pdf").write_bytes(b"%PDF-1.4 broken")
            documents = await eventually(
                lambda: knowledge.list_documents(SCOPE, library_id),
                lambda found: found[0].state == "failed",
            )
            assert documents[0].message.startswith("The file cannot be read: ")
            assert "Ants" in (await _texts(knowledge, library_id, "ants"))[0]
            (source,) = await knowledge.list_sources(SCOPE, library_id)
            assert (source.seen, source.indexed, source.failed) == (2, 1, 1)

    asyncio.run(run())


@pytest.mark.parametrize("fault", ["missing", "empty"])
def test_a_folder_that_gives_nothing_is_an_error_with_a_sentence(
    installation: Installation, fault: str
) -> None:
    async def run() -> None:
        async with installation.running() as knowledge:
            library_id = await _library(knowledge, installation)
            if fault == "missing":
                installation.folder.rmdir()
            library = await eventually(
                lambda: knowledge.get_library(SCOPE, library_id),
                lambda found: (
                    found.freshness.state == "error"
                    and ("is not there" in found.freshness.message) is (fault == "missing")
                ),
            )
            assert str(installation.folder) in library.freshness.message
            installation.folder.mkdir(exist_ok=True)
            installation.write("a.md", "Back again.")
            await in_step(knowledge, library_id, 1)

    asyncio.run(run())


def test_an_empty_library_has_no_answer(installation: Installation) -> None:
    async def run() -> None:
        async with installation.running() as knowledge:
            library = await knowledge.create_library(SCOPE, "Empty")
            for query in ("opening hours", '"opening hours"', "营业时间"):
                found = await knowledge.search(SCOPE, [library.id], query)
                assert found.hits == ()

    asyncio.run(run())


def test_a_dropped_file_answers_and_goes(installation: Installation) -> None:
    async def run() -> None:
        async with installation.running() as knowledge:
            library = await knowledge.create_library(SCOPE, "Drop")
            document = await knowledge.add_document(SCOPE, library.id, "a.md", b"Bees dance.")
            await in_step(knowledge, library.id)
            assert await _texts(knowledge, library.id, "bees") == ["Bees dance."]
            again = await knowledge.add_document(SCOPE, library.id, "a.md", b"Bees sleep.")
            assert again.id == document.id
            await eventually(
                lambda: _texts(knowledge, library.id, "bees"),
                lambda texts: texts == ["Bees sleep."],
            )
            assert (await knowledge.get_document(SCOPE, library.id, document.id)).version == 2
            await knowledge.delete_document(SCOPE, library.id, document.id)
            assert await _texts(knowledge, library.id, "bees") == []
            with pytest.raises(BadRequest, match="kind that is not read"):
                await knowledge.add_document(SCOPE, library.id, "a.exe", b"MZ")
            assert list((installation.home / "uploads" / library.id).iterdir()) == []

    asyncio.run(run())


def test_a_stranger_sees_nothing(installation: Installation) -> None:
    async def run() -> None:
        installation.write("a.md", "The boiler is in the cellar.")
        async with installation.running() as knowledge:
            library_id = await _library(knowledge, installation)
            await in_step(knowledge, library_id, 1)
            (hit,) = (await knowledge.search(SCOPE, [library_id], "boiler")).hits
            assert await knowledge.list_libraries(STRANGER) == []
            for attempt in (
                knowledge.get_library(STRANGER, library_id),
                knowledge.search(STRANGER, [library_id], "boiler"),
                knowledge.get_passage(STRANGER, hit.passage_id),
                knowledge.document_text(STRANGER, library_id, hit.document_id),
                knowledge.list_documents(STRANGER, library_id),
                knowledge.list_sources(STRANGER, library_id),
                knowledge.questions(STRANGER, library_id),
                knowledge.update_library(STRANGER, library_id, name="Mine"),
                knowledge.delete_library(STRANGER, library_id),
                knowledge.add_document(STRANGER, library_id, "a.md", b"x"),
            ):
                with pytest.raises(NotFound):
                    await attempt

    asyncio.run(run())


def test_removing_a_source_and_a_library(installation: Installation) -> None:
    async def run() -> None:
        installation.write("a.md", "The boiler is in the cellar.")
        async with installation.running() as knowledge:
            library_id = await _library(knowledge, installation)
            await in_step(knowledge, library_id, 1)
            (source,) = await knowledge.list_sources(SCOPE, library_id)
            with pytest.raises(Conflict):
                await knowledge.add_source(
                    SCOPE, library_id, "folder", {"path": str(installation.folder)}
                )
            await knowledge.remove_source(SCOPE, library_id, source.id)
            assert await _texts(knowledge, library_id, "boiler") == []
            await knowledge.delete_library(SCOPE, library_id)
            assert await knowledge.list_libraries(SCOPE) == []
            assert (await knowledge.status(SCOPE)).passages == 0

    asyncio.run(run())


def test_a_question_does_not_wait_for_ingestion(installation: Installation) -> None:
    async def run() -> None:
        installation.write("a.md", "The boiler is in the cellar.")
        embedder = HeldEmbedder()
        embedder.let.set()
        async with installation.running(embedder) as knowledge:
            library_id = await _library(knowledge, installation)
            await in_step(knowledge, library_id, 1)
            embedder.let.clear()
            for number in range(30):
                rooms = (f"## {number}.{n}\n\nRoom {n} of floor {number}." for n in range(20))
                installation.write(f"floor-{number}.md", "\n\n".join(rooms))
            await eventually(
                lambda: _texts(knowledge, library_id, "floor"),
                lambda texts: any("floor" in text for text in texts),
            )
            found = await knowledge.search(SCOPE, [library_id], "where is the boiler")
            assert found.hits[0].vector_rank == 1
            assert len(embedder.passages) == 1  # no passage since was embedded
            embedder.let.set()
            await in_step(knowledge, library_id, 31)

    asyncio.run(run())


def test_without_an_embedder_keywords_answer_and_meaning_follows(
    installation: Installation,
) -> None:
    async def run() -> None:
        installation.write("a.md", "The boiler is in the cellar.")
        async with installation.running(connect=False) as knowledge:
            library_id = await _library(knowledge, installation)
            library = await in_step(knowledge, library_id, 1)
            assert "keywords alone" in library.freshness.message
            (hit,) = (await knowledge.search(SCOPE, [library_id], "boiler")).hits
            assert hit.vector_rank is None
            await knowledge.connect(FakeEmbedder())
            await eventually(
                lambda: knowledge.search(SCOPE, [library_id], "boiler"),
                lambda found: found.hits[0].vector_rank == 1,
            )

    asyncio.run(run())


def test_another_embedder_embeds_everything_anew(installation: Installation) -> None:
    async def run() -> None:
        installation.write("a.md", "The boiler is in the cellar.")
        async with installation.running() as knowledge:
            library_id = await _library(knowledge, installation)
            await in_step(knowledge, library_id, 1)
            other = FakeEmbedder(identity="fake-2")
            await knowledge.connect(other)
            found = await eventually(
                lambda: knowledge.search(SCOPE, [library_id], "boiler"),
                lambda found: found.hits[0].vector_rank == 1,
            )
            assert other.passages == [found.hits[0].text]
        back = FakeEmbedder()
        async with installation.running(back) as knowledge:
            found = await knowledge.search(SCOPE, [library_id], "boiler")
            assert found.hits[0].vector_rank == 1
            assert back.passages == []

    asyncio.run(run())


def test_an_edit_overtakes_a_first_load(installation: Installation) -> None:
    async def run() -> None:
        installation.write("a.md", "The code is 0.")
        embedder = FakeEmbedder(delay=0.005)
        async with installation.running(embedder) as knowledge:
            library_id = await _library(knowledge, installation)
            await in_step(knowledge, library_id, 1)
            for number in range(200):
                rooms = (f"## {number}.{n}\n\nRoom {n} of floor {number}." for n in range(20))
                installation.write(f"floor-{number}.md", "\n\n".join(rooms))
            await asyncio.sleep(0.3)
            installation.write("a.md", "The code is 1.")
            await eventually(
                lambda: _texts(knowledge, library_id, "code"),
                lambda texts: "The code is 1." in texts,
            )
            library = await knowledge.get_library(SCOPE, library_id)
            assert library.freshness.state == "syncing"

    asyncio.run(run())


def test_a_name_that_is_not_text_keeps_nothing_else_out(installation: Installation) -> None:
    async def run() -> None:
        try:
            (installation.folder / os.fsdecode(b"caf\xe9.md")).write_text("x")
        except OSError:
            pytest.skip("this file system takes only names that are text")
        installation.write("a.md", "The boiler is in the cellar.")
        async with installation.running() as knowledge:
            library_id = await _library(knowledge, installation)
            library = await in_step(knowledge, library_id, 1)
            assert "a name that is not text" in library.freshness.message

    asyncio.run(run())


def test_a_fault_of_ours_in_one_file_keeps_no_other_out(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(text: str, *, max_tokens: int, code: bool = False) -> list[chunking.Chunk]:
        if "stumble" in text:
            raise ZeroDivisionError
        return chunking.chunk(text, max_tokens=max_tokens, code=code)

    async def run() -> None:
        monkeypatch.setattr(ingestion, "chunk", stumble)
        installation.write("a.md", "Here we stumble.")
        installation.write("b.md", "The boiler is in the cellar.")
        async with installation.running() as knowledge:
            library_id = await _library(knowledge, installation)
            await in_step(knowledge, library_id, 1)
            (source,) = await knowledge.list_sources(SCOPE, library_id)
            assert (source.seen, source.indexed, source.failed) == (2, 1, 1)
            installation.write("a.md", "Here we stand.")
            await in_step(knowledge, library_id, 2)

    asyncio.run(run())
