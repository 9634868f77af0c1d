"""A library is in step only once its passages are found by meaning, whatever comes in between."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from ponant.live.indexing import embedding
from ponant.live.indexing.embedding import EmbeddingGate
from ponant.live.knowledge import Knowledge
from tests.fakes.embedder import FakeEmbedder, HeldEmbedder
from tests.live.conftest import SCOPE, Installation, eventually, in_step
from tests.live.crash.agreement import disagreements

_MANY = "\n\n".join(f"## Room {n}\n\n" + f"The brass key opens room {n}. " * 5 for n in range(25))


class _Faulty(FakeEmbedder):
    """An embedder that forgets a vector once, which no error of ours says."""

    def __init__(self) -> None:
        super().__init__()
        self.is_well = False

    async def embed(
        self, texts: Sequence[str], kind: Literal["query", "passage"]
    ) -> NDArray[np.float32]:
        found = await super().embed(texts, kind)
        was_well, self.is_well = self.is_well, True
        return found if was_well else found[1:]


@contextmanager
def _busy(knowledge: Knowledge) -> Iterator[None]:
    """The threads that look for missing vectors have other things to do."""
    done = threading.Event()
    helpers = knowledge._ingestion._helpers
    for _ in range(2):
        helpers.submit(done.wait)
    try:
        yield
    finally:
        done.set()


def test_a_library_is_not_in_step_before_its_vectors_were_counted(
    installation: Installation,
) -> None:
    async def run() -> None:
        installation.write("a.md", _MANY)
        async with installation.running(connect=False) as knowledge:
            library = await knowledge.create_library(SCOPE, "Handbook")
            config = {"path": str(installation.folder)}
            await knowledge.add_source(SCOPE, library.id, "folder", config)
            await in_step(knowledge, library.id, 1)
        embedder = HeldEmbedder()
        async with installation.running(connect=False) as knowledge:
            await in_step(knowledge, library.id, 1)
            await knowledge.connect(embedder)
            with _busy(knowledge):
                found = await knowledge.get_library(SCOPE, library.id)
                assert found.freshness.state == "syncing"
                assert found.freshness.message.startswith("25 passages")
            embedder.let.set()
            await in_step(knowledge, library.id, 1)
        assert disagreements(installation.home, complete=True) == []

    asyncio.run(run())


def test_what_is_stored_during_a_last_look_is_not_forgotten(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        embedder = HeldEmbedder()
        async with installation.running(embedder) as knowledge:
            library = await knowledge.create_library(SCOPE, "Handbook")
            await in_step(knowledge, library.id, 0)
            looked, stored = threading.Event(), threading.Event()
            _slow_look(knowledge, monkeypatch, looked, stored)
            knowledge._ingestion.waiting.set()
            await asyncio.to_thread(looked.wait, 60)
            await knowledge.add_document(SCOPE, library.id, "a.md", _MANY.encode())
            await eventually(partial(_lacking, knowledge, library.id), lambda count: count == 25)
            stored.set()
            for _ in range(20):  # whenever one looks until there are vectors
                found = await knowledge.get_library(SCOPE, library.id)
                assert found.freshness.state == "syncing"
                await asyncio.sleep(0.01)
            embedder.let.set()
            await in_step(knowledge, library.id, 1)
        assert disagreements(installation.home, complete=True) == []

    asyncio.run(run())


async def _lacking(knowledge: Knowledge, library_id: str) -> int:
    return knowledge._ingestion.lacking[library_id]


def _slow_look(
    knowledge: Knowledge,
    monkeypatch: pytest.MonkeyPatch,
    looked: threading.Event,
    stored: threading.Event,
) -> None:
    """The next look for missing vectors ends with what it saw before the document came."""
    look: Callable[..., Any] = knowledge._queries.without_vector

    def without_vector(*args: Any) -> Any:
        found = look(*args)
        if not looked.is_set():
            looked.set()
            stored.wait(60)
        return found

    monkeypatch.setattr(knowledge._queries, "without_vector", without_vector)


def test_a_fault_of_an_embedder_ends_nothing(installation: Installation) -> None:
    async def run() -> None:
        installation.write("a.md", _MANY)
        async with installation.running(_Faulty()) as knowledge:
            library = await knowledge.create_library(SCOPE, "Handbook")
            config = {"path": str(installation.folder)}
            await knowledge.add_source(SCOPE, library.id, "folder", config)
            await in_step(knowledge, library.id, 1)
        assert disagreements(installation.home, complete=True) == []

    asyncio.run(run())


@pytest.mark.anyio
async def test_the_embedder_has_the_next_passages_at_hand_while_nobody_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedding, "_QUIET_SECONDS", 3600.0)
    gate, embedder = EmbeddingGate(), _Counted()
    gate.connect(embedder)
    await _embed_thrice(gate, embedder)
    assert embedder.most == 2
    await gate.question("where is the key?")
    embedder.most = 0
    await _embed_thrice(gate, embedder)
    assert embedder.most == 1


async def _embed_thrice(gate: EmbeddingGate, embedder: "_Counted") -> None:
    embedder.let.clear()
    async with asyncio.TaskGroup() as tasks:
        for number in range(3):
            tasks.create_task(gate.passages([f"Passage {number}."]))
        for _ in range(10):
            await asyncio.sleep(0)
        embedder.let.set()


class _Counted(HeldEmbedder):
    """It counts how many times it is asked for passages at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = self.most = 0

    async def embed(
        self, texts: Sequence[str], kind: Literal["query", "passage"]
    ) -> NDArray[np.float32]:
        self.asked += 1
        self.most = max(self.most, self.asked)
        try:
            return await super().embed(texts, kind)
        finally:
            self.asked -= 1
