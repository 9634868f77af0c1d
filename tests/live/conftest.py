"""A live process's inside, over folders of a test's own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ponant.kit import Settings, SystemClock
from ponant.live import storage
from ponant.live.knowledge import Knowledge
from ponant.live.port import Change, Embedder, Library
from ponant.live.sources import kinds
from ponant.store import Scope
from tests.fakes.embedder import FakeEmbedder
from tests.patience import PATIENCE

SCOPE = Scope(organisation_id="org_1", workspace_id="wsp_1", person_id="per_1")
STRANGER = Scope(organisation_id="org_2", workspace_id="wsp_2", person_id="per_2")


@dataclass
class Installation:
    """A home and a folder to follow; `running` opens knowledge over them, any number of times.

    Attributes:
        address: of a PostgreSQL database; empty where knowledge is kept in the home.
    """

    home: Path
    folder: Path
    settings: Settings
    address: str = ""
    changes: list[Change] = field(default_factory=list)

    @asynccontextmanager
    async def running(
        self, embedder: Embedder | None = None, *, connect: bool = True
    ) -> AsyncIterator[Knowledge]:
        database = storage.opened(self.home, self.address)
        database.migrate("live")
        knowledge = Knowledge(
            self.home, [self.folder.resolve()], database, SystemClock(), self.changes.append
        )
        await knowledge.start()
        try:
            if connect:
                await knowledge.connect(embedder or FakeEmbedder())
            yield knowledge
        finally:
            await knowledge.close()
            database.close()

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture(autouse=True)
def _kinds_of_a_test_end_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_REGISTERED", {**kinds._REGISTERED})


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    home, folder = tmp_path / "home", tmp_path / "docs"
    home.mkdir()
    folder.mkdir()
    settings = Settings(home=home, live_roots=str(folder))
    return Installation(home, folder, settings)


async def in_step(knowledge: Knowledge, library_id: str, documents: int | None = None) -> Library:
    """The library, once it is in step (and has so many documents)."""
    return await eventually(
        lambda: knowledge.get_library(SCOPE, library_id),
        lambda library: (
            library.freshness.state == "in_step" and documents in (None, library.documents)
        ),
    )


async def found_by_meaning(knowledge: Knowledge, library_id: str, documents: int) -> Library:
    """The same, with the embedder back: until it is, a library is in step by keywords alone."""
    return await eventually(
        lambda: knowledge.get_library(SCOPE, library_id),
        lambda library: (
            library.freshness.state == "in_step"
            and not library.freshness.message
            and library.documents == documents
        ),
    )


async def eventually(ask, fits: Callable[..., bool], seconds: float = PATIENCE):
    """The first answer that fits.

    Raises:
        AssertionError: none came in time.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        answer = await ask()
        if fits(answer):
            return answer
        assert asyncio.get_running_loop().time() < deadline, answer
        await asyncio.sleep(0.02)
