"""A ledger over a database of its own, and who uses it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ponant.accounts import Accounts, Principal
from ponant.billing import Ledger
from ponant.store import Database
from tests.databases import KINDS, opened
from tests.fakes.clock import FakeClock


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with opened(request.param, tmp_path / "home" / "ponant.db") as database:
        yield database


@pytest.fixture
def ledger(database: Database, clock: FakeClock) -> Iterator[Ledger]:
    ledger = Ledger(database, clock)
    yield ledger
    ledger.close()


@pytest.fixture
def admin(database: Database, clock: FakeClock) -> Principal:
    first = Accounts(database, clock).ensure_first(None)
    assert first is not None
    return first.administrator
