"""Models with their workers, for tests that ask them."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ponant.hub import Catalogue
from ponant.kit import Settings, SystemClock
from ponant.serving import Models, Upstreams
from ponant.store import Database, Scope
from tests.fakes.openai_server import FakeOpenAI, fake_openai


@contextmanager
def opened_upstreams(folder: Path) -> Iterator[Upstreams]:
    """The upstreams of a new database in a folder."""
    database = Database.at(folder / "ponant.db")
    database.migrate("ponant")
    try:
        yield Upstreams(database, SystemClock(), Settings())
    finally:
        database.close()


@asynccontextmanager
async def models_in(home: Path, upstreams: Upstreams, **settings: Any) -> AsyncIterator[Models]:
    """The models of a home, their workers ended afterwards."""
    made = Settings(**{"home": home, "threads": 1} | settings)
    models = Models(made, Catalogue(home), upstreams)
    try:
        yield models
    finally:
        await models.close()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def scope() -> Scope:
    return Scope(organisation_id="org_here", workspace_id="wsp_here")


@pytest.fixture
def upstreams(tmp_path: Path) -> Iterator[Upstreams]:
    with opened_upstreams(tmp_path) as opened:
        yield opened


@pytest.fixture
async def bare(tmp_path: Path, upstreams: Upstreams) -> AsyncIterator[Models]:
    """Models of a home where nothing is installed: echo alone."""
    async with models_in(tmp_path, upstreams) as models:
        yield models


@pytest.fixture
def parrot() -> Iterator[FakeOpenAI]:
    with fake_openai() as fake:
        yield fake
