"""A ledger over a database of its own, and who uses it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ponant.accounts import Accounts, Principal
from ponant.billing import Ledger
from ponant.store import Database
from tests.fakes.clock import FakeClock


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.at(tmp_path / "home" / "ponant.db")
    database.migrate("ponant")
    yield database
    database.close()


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
