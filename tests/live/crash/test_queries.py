"""No answer mixes versions or shows what was deleted, however much changes meanwhile."""

import asyncio
from pathlib import Path

import pytest

from tests.live.crash.queries import ask_under_change


@pytest.mark.timeout(600)
def test_no_answer_mixes_versions_or_shows_what_was_deleted(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "docs"
    home.mkdir()
    folder.mkdir()
    found = asyncio.run(ask_under_change(home, folder, queries=10_000, seed=3))
    assert found.queries == 10_000
    assert found.changes > 100
    assert len(found.versions) > 100
    assert (found.mixed, found.deleted, found.torn) == (0, 0, 0)
