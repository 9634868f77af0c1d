"""Killed at any moment of a sync, live knowledge comes back with what the folder says."""

import asyncio
from pathlib import Path

import psycopg
import pytest

from ponant.live.faults import POINTS
from tests.live.crash.kills import IN_FLIGHT, Findings, kill_during_syncs
from tests.servers import postgres


def _check(findings: Findings, kills: int) -> None:
    assert findings.kills == kills
    assert (findings.lost, findings.extra, findings.disagreements) == (0, 0, [])
    assert findings.embedded_again <= IN_FLIGHT


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    home, folder = tmp_path / "home", tmp_path / "docs"
    home.mkdir()
    folder.mkdir()
    monkeypatch.setenv("PONANT_LIVE_FAULT", str(tmp_path / "fault"))
    return home, folder


def test_kills_at_random_moments_lose_double_and_age_nothing(folders: tuple[Path, Path]) -> None:
    _check(asyncio.run(kill_during_syncs(*folders, kills=10, seed=11)), 10)


def test_kills_at_every_named_point_lose_double_and_age_nothing(
    folders: tuple[Path, Path],
) -> None:
    found = kill_during_syncs(*folders, kills=len(POINTS), seed=12, points=POINTS)
    _check(asyncio.run(found), len(POINTS))


@pytest.mark.parametrize(
    ("kind", "points"),  # where the database has its part
    [
        ("postgres", ("changed", "staged", "committed", "filled")),
        ("pgvector", ("staged", "filled")),
    ],
)
def test_kills_over_postgres_lose_double_and_age_nothing(
    folders: tuple[Path, Path], kind: str, points: tuple[str, ...]
) -> None:
    address = postgres.shared(kind).fresh("live")
    found = kill_during_syncs(*folders, kills=len(points), seed=13, points=points, address=address)
    _check(asyncio.run(found), len(points))
    with psycopg.connect(address) as connection:
        tables = connection.execute("SELECT to_regclass('live_near')").fetchone()
    assert tables == ("live_near" if kind == "pgvector" else None,)
