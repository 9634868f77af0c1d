"""Keeps house now and then: vectors go into files, and old tombstones go.

From files a restart maps vectors, which else it reads from live.db.
"""

import asyncio
from datetime import timedelta

from ponant.live import repository
from ponant.live.indexing.ingestion import Ingestion
from ponant.store import Scope

_SECONDS = 20.0
_REMEMBERED = timedelta(days=90)


async def keep_all(ingestion: Ingestion, seconds: float = _SECONDS) -> None:
    """Keep what came, again and again until cancelled; nothing waits for it."""
    await asyncio.sleep(seconds)
    await ingestion.write(forget, ingestion)
    while True:
        await keep(ingestion)
        await asyncio.sleep(seconds)


async def keep(ingestion: Ingestion) -> None:
    """Keep what came since the last time, where that is much."""
    index = ingestion.index
    for library_id, _ in await ingestion.aside(_places, ingestion):
        identity = index.identity
        kept = await ingestion.aside(index.keep_vectors, library_id)
        if kept is not None and identity is not None:
            await ingestion.write(index.attach_vectors, library_id, identity, kept)


def forget(ingestion: Ingestion) -> None:
    """Forget what became of passages longer ago than anybody asks."""
    index = ingestion.index
    before = index.clock.now() - _REMEMBERED
    with index.database.write() as session:
        for workspace_id in {workspace_id for _, workspace_id in repository.places(session)}:
            repository.forget_tombstones(session, Scope(workspace_id=workspace_id), before)


def _places(ingestion: Ingestion) -> list[tuple[str, str]]:
    with ingestion.index.database.read() as session:
        return repository.places(session)
