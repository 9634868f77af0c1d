"""Follows a folder with its home on a disk that is really full for a while; see the test."""

import asyncio
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from ponant.kit import Settings
from tests.live.conftest import SCOPE, Installation, eventually, in_step
from tests.live.crash.agreement import disagreements

_BLOCK = 1 << 12


def _text(key: str) -> str:
    return "\n\n".join(f"## Room {n}\n\nThe {key} key opens room {n}." for n in range(20))


def _fill(path: Path) -> None:
    """Write until the disk takes nothing more."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * _BLOCK)
        except OSError:
            return


def _give_back(path: Path) -> None:
    """Have the database's log take no room, which it would write into before it needs more."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _run(installation: Installation) -> None:
    filler = installation.home / "filler"
    installation.write("a.md", _text("brass"))
    async with installation.running() as knowledge:
        library = await knowledge.create_library(SCOPE, "Handbook")
        config = {"path": str(installation.folder)}
        await knowledge.add_source(SCOPE, library.id, "folder", config)
        before = await in_step(knowledge, library.id, 1)
        _give_back(installation.home / "live.db")
        _fill(filler)
        installation.write("a.md", _text("silver"))
        (source,) = await eventually(
            lambda: knowledge.list_sources(SCOPE, library.id),
            lambda sources: sources[0].state == "error",
        )
        assert "disk is full" in source.message, source.message
        found = await knowledge.search(SCOPE, [library.id], "Which key opens room 7?", 20)
        assert found.hits
        assert all("brass" in hit.text for hit in found.hits)
        assert found.version == before.freshness.version
        filler.unlink()
        await eventually(
            lambda: knowledge.get_library(SCOPE, library.id),
            lambda one: one.freshness.state == "in_step" and one.freshness.version > found.version,
        )
        found = await knowledge.search(SCOPE, [library.id], "Which key opens room 7?", 20)
        assert all("silver" in hit.text for hit in found.hits)
    assert disagreements(installation.home) == []


if __name__ == "__main__":
    place, docs = Path(sys.argv[1]), Path(sys.argv[2])
    asyncio.run(_run(Installation(place, docs, Settings(home=place, live_roots=str(docs)))))
