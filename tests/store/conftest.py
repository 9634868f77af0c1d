"""Databases for the tests of the store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ponant.store import Database


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Database]:
    """A database without tables."""
    database = Database.at(tmp_path / "store" / "test.db")
    yield database
    database.close()
