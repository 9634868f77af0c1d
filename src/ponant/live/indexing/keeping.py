"""Writes vectors into files now and then, so that a restart need not read them from live.db."""

import asyncio

from ponant.live import repository
from ponant.live.indexing.ingestion import Ingestion

_SECONDS = 20.0


async def keep_all(ingestion: Ingestion, seconds: float = _SECONDS) -> None:
    """Keep what came, again and again until cancelled; nothing waits for it."""
    while True:
        await asyncio.sleep(seconds)
        await keep(ingestion)


async def keep(ingestion: Ingestion) -> None:
    """Keep what came since the last time, where that is much."""
    index = ingestion.index
    for library_id, _ in await ingestion.aside(_places, ingestion):
        identity = index.identity
        kept = await ingestion.aside(index.keep_vectors, library_id)
        if kept is not None and identity is not None:
            await ingestion.write(index.attach_vectors, library_id, identity, kept)


def _places(ingestion: Ingestion) -> list[tuple[str, str]]:
    with ingestion.index.database.read() as session:
        return repository.places(session)
