"""Killed at random moments of a sync and at named points: what is lost, doubled or stale."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from tests.live.crash.kills import Findings, kill_during_syncs

from bench.live_rows.measured import Place, Told, folder
from ponant.live.faults import POINTS


def killed(place: Place) -> Told:
    """Kills at random moments, two hundred with ``--full``, and one at every named point."""
    kills = 10 if place.quick else 200 if place.full else 60
    told = Told(f"killed at {kills} random moments of a sync, and at {len(POINTS)} named points")
    with folder("killed") as work:
        os.environ["PONANT_LIVE_FAULT"] = str(work / "fault")
        try:
            random = asyncio.run(_kill(work / "random", kills, ()))
            named = asyncio.run(_kill(work / "named", len(POINTS), POINTS))
        finally:
            del os.environ["PONANT_LIVE_FAULT"]
    both = (random, named)
    told.figures["Ponant"] = {
        "kills": sum(one.kills for one in both),
        "lost or stale": sum(one.lost for one in both),
        "doubled or left over": sum(one.extra for one in both),
        "disagreements within the database": sum(len(one.disagreements) for one in both),
        "embedded again after a kill, most": max(one.embedded_again for one in both),
        "longest return, s": round(max(one.longest_return for one in both), 2),
    }
    wrong = [text for one in both for text in one.disagreements]
    if wrong:
        told.notes["the first disagreement"] = wrong[0]
    told.goals = {
        "lost or stale": 0,
        "doubled or left over": 0,
        "disagreements within the database": 0,
    }
    return told


async def _kill(work: Path, kills: int, points: Sequence[str]) -> Findings:
    home, corpus = work / "home", work / "docs"
    for one in (home, corpus):
        one.mkdir(parents=True)
    return await kill_during_syncs(home, corpus, kills=kills, seed=2026, points=points)
