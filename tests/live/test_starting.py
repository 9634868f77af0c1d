"""A start answers at once; sources are followed when what was stored is loaded."""

import asyncio
import threading
from typing import Any

import pytest

from ponant.live.indexing.index import Index
from tests.live.conftest import SCOPE, Installation, found_by_meaning, in_step


def test_a_start_answers_before_the_vectors_are_loaded(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    let = threading.Event()
    load = Index.load_last

    def slow(self: Index) -> None:
        let.wait()
        load(self)

    async def run() -> None:
        installation.write("a.md", "The ferry leaves at noon.")
        async with installation.running() as knowledge:
            library = await knowledge.create_library(SCOPE, "Handbook")
            config: dict[str, Any] = {"path": str(installation.folder)}
            await knowledge.add_source(SCOPE, library.id, "folder", config)
            await in_step(knowledge, library.id, 1)
        installation.write("b.md", "The train leaves at one.")
        monkeypatch.setattr(Index, "load_last", slow)
        try:
            async with installation.running(connect=False) as knowledge:
                assert (await knowledge.search(SCOPE, [library.id], "ferry")).hits
                found = await knowledge.get_library(SCOPE, library.id)
                assert (found.freshness.state, found.documents) == ("syncing", 1)
                let.set()
                await in_step(knowledge, library.id, 2)
            async with installation.running() as knowledge:
                await found_by_meaning(knowledge, library.id, 2)
        finally:
            let.set()

    asyncio.run(run())


def test_a_start_whose_vectors_cannot_be_loaded_follows_its_sources(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_self: Index) -> None:
        raise OSError("The disk is gone.")

    async def run() -> None:
        installation.write("a.md", "The ferry leaves at noon.")
        monkeypatch.setattr(Index, "load_last", broken)
        async with installation.running(connect=False) as knowledge:
            library = await knowledge.create_library(SCOPE, "Handbook")
            config: dict[str, Any] = {"path": str(installation.folder)}
            await knowledge.add_source(SCOPE, library.id, "folder", config)
            await in_step(knowledge, library.id, 1)

    asyncio.run(run())
