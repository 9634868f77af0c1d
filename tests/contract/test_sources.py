"""What every kind of source must do: see what is there, and say so when it cannot."""

import asyncio
from pathlib import Path

import pytest

from ponant.live.knowledge import Knowledge
from tests.contract.places import PLACES, Place, place, settle
from tests.fakes.embedder import FakeEmbedder
from tests.live.conftest import SCOPE, Installation, eventually, in_step, installation

__all__ = ["installation"]

_A, _B = "a.md", "b.md"

pytestmark = pytest.mark.parametrize("kind", sorted(PLACES))


async def _followed(knowledge: Knowledge, there: Place) -> str:
    library = await knowledge.create_library(SCOPE, "Handbook")
    await knowledge.add_source(
        SCOPE, library.id, there.kind, there.config, secrets=there.secrets, trusted=True
    )
    return library.id


async def _text(knowledge: Knowledge, library_id: str, query: str) -> str:
    found = await knowledge.search(SCOPE, [library_id], query)
    return " ".join(hit.text for hit in found.hits)


async def _source_state(knowledge: Knowledge, library_id: str, state: str) -> str:
    """The source's message, once it is in a state."""
    (source,) = await eventually(
        lambda: knowledge.list_sources(SCOPE, library_id),
        lambda sources: sources[0].state == state,
    )
    return source.message


def test_what_is_there_answers_and_what_went_does_not(
    installation: Installation, tmp_path: Path, kind: str
) -> None:
    async def run(there: Place) -> None:
        there.write(_A, "The boiler is in the cellar.")
        async with installation.running() as knowledge:
            library_id = await _followed(knowledge, there)
            await in_step(knowledge, library_id, 1)
            assert "cellar" in await _text(knowledge, library_id, "boiler")
            there.write(_B, "The keys hang by the door.")
            await in_step(knowledge, library_id, 2)
            there.write(_A, "The boiler is in the attic.")
            await eventually(
                lambda: _text(knowledge, library_id, "boiler"), lambda text: "attic" in text
            )
            assert "cellar" not in await _text(knowledge, library_id, "boiler")
            there.delete(_B)
            await in_step(knowledge, library_id, 1)
            assert "keys" not in await _text(knowledge, library_id, "keys door")

    with place(kind, tmp_path) as there:
        asyncio.run(run(there))


def test_a_restart_reads_nothing_again(
    installation: Installation, tmp_path: Path, kind: str
) -> None:
    async def run(there: Place) -> None:
        for number in range(5):
            there.write(f"{number}.md", f"Room {number} has a window to the west.")
        async with installation.running() as knowledge:
            library_id = await _followed(knowledge, there)
            await in_step(knowledge, library_id, 5)
            await settle(2.5 if kind == "webdav" else 0.6)  # times in HTTP are whole seconds
            version = (await in_step(knowledge, library_id, 5)).freshness.version
        second = FakeEmbedder()
        async with installation.running(second) as knowledge:
            await in_step(knowledge, library_id, 5)
            await settle()
            library = await in_step(knowledge, library_id, 5)
            assert library.freshness.version == version
            assert second.passages == []

    with place(kind, tmp_path) as there:
        asyncio.run(run(there))


def test_out_of_reach_is_shown_while_what_was_read_answers(
    installation: Installation, tmp_path: Path, kind: str
) -> None:
    async def run(there: Place) -> None:
        there.write(_A, "The boiler is in the cellar.")
        async with installation.running() as knowledge:
            library_id = await _followed(knowledge, there)
            await in_step(knowledge, library_id, 1)
            there.down()
            message = await _source_state(knowledge, library_id, "error")
            assert len(message.split(". ")) > 1, "what happened, and then what to do"
            assert all(value not in message for value in there.secrets.values())
            assert "cellar" in await _text(knowledge, library_id, "boiler")
            there.up()
            there.write(_B, "The keys hang by the door.")
            await in_step(knowledge, library_id, 2)

    with place(kind, tmp_path) as there:
        asyncio.run(run(there))


def test_an_empty_place_is_an_error_and_not_silence(
    installation: Installation, tmp_path: Path, kind: str
) -> None:
    async def run(there: Place) -> None:
        async with installation.running() as knowledge:
            library_id = await _followed(knowledge, there)
            message = await _source_state(knowledge, library_id, "error")
            assert "no" in message
            there.write(_A, "The boiler is in the cellar.")
            await in_step(knowledge, library_id, 1)

    with place(kind, tmp_path) as there:
        asyncio.run(run(there))
