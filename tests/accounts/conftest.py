"""Accounts over a database of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ponant.accounts import Accounts, FirstStart
from ponant.store import Database
from tests.databases import KINDS, opened
from tests.fakes.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with opened(request.param, tmp_path / "home" / "ponant.db") as database:
        yield database


@pytest.fixture
def accounts(database: Database, clock: FakeClock) -> Accounts:
    return Accounts(database, clock)


@pytest.fixture
def first(accounts: Accounts) -> FirstStart:
    first = accounts.ensure_first(None)
    assert first is not None
    return first
