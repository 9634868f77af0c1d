"""Databases for the tests of the store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ponant.store import Database
from tests.databases import KINDS, opened


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Database]:
    """A database without tables."""
    database = Database.at(tmp_path / "store" / "test.db")
    yield database
    database.close()


@pytest.fixture(params=KINDS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without tables, of each kind."""
    with opened(request.param, tmp_path / "store" / "test.db", None) as database:
        yield database
