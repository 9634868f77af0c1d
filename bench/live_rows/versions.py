"""Queries under constant change: do answers mix versions, or come from deleted documents?"""

import asyncio

from tests.live.crash.queries import ask_under_change

from bench.live_rows.measured import Place, Told, folder


def mixing(place: Place) -> Told:
    """100,000 queries with ``--full``; a fifth of them else."""
    queries = 2_000 if place.quick else 100_000 if place.full else 20_000
    told = Told(f"{queries:,} queries under constant change")
    with folder("versions") as work:
        home, corpus = work / "home", work / "docs"
        for one in (home, corpus):
            one.mkdir()
        found = asyncio.run(ask_under_change(home, corpus, queries=queries, seed=2026))
    told.figures["Ponant"] = {
        "answers that mix versions": found.mixed,
        "answers from deleted documents": found.deleted,
        "passages of no version": found.torn,
        "queries": found.queries,
        "queries/s": round(found.queries / found.seconds),
        "changes meanwhile": found.changes,
        "library versions seen": len(found.versions),
    }
    told.goals = {
        "answers that mix versions": 0,
        "answers from deleted documents": 0,
        "passages of no version": 0,
    }
    return told
