"""How many documents of each source are found by meaning too, for those who listen."""

import asyncio
import time

from ponant.kit.tasks import Tasks
from ponant.live.indexing.ingestion import Ingestion
from ponant.live.queries import Queries
from ponant.store import Scope

_PAUSE_SECONDS = 1.0
_LONGEST_WAIT = 0.2
_SPARED = 50.0  # times as long as a count took, nothing is counted


class Meaning:
    """Counts while vectors are missing, now and then; at other times there is nothing to count."""

    def __init__(self, ingestion: Ingestion, queries: Queries) -> None:
        self._ingestion = ingestion
        self._queries = queries
        self._tasks = Tasks("counting what is found by meaning")
        self._lacking: dict[str, dict[str, int]] = {}  # documents by library and source
        self._counted_again: dict[str, float] = {}  # from when on a library's are counted anew

    async def count(self, scope: Scope, library_id: str) -> None:
        """Count a library's documents if that is due; what takes long goes on by itself."""
        if not self._ingestion.lacking[library_id]:
            self._lacking.pop(library_id, None)
            return  # edits one after another are not counted each
        if time.monotonic() < self._counted_again.get(library_id, 0.0):
            return
        self._counted_again[library_id] = float("inf")  # one count at a time
        counting = self._tasks.spawn(self._count(scope, library_id))
        await asyncio.wait((counting,), timeout=_LONGEST_WAIT)

    async def close(self) -> None:
        """Count no more."""
        await self._tasks.close()

    async def _count(self, scope: Scope, library_id: str) -> None:
        begun = time.monotonic()
        try:
            found = await self._ingestion.aside(self._queries.half_found, scope, library_id)
            self._lacking[library_id] = found
        finally:
            now = time.monotonic()
            self._counted_again[library_id] = now + max(_PAUSE_SECONDS, _SPARED * (now - begun))

    def found(self, library_id: str, source_id: str, indexed: int) -> int:
        """How many of a source's documents are found by meaning, as it was counted last."""
        if self._ingestion.gate.identity is None:
            return 0
        return max(0, indexed - self._lacking.get(library_id, {}).get(source_id, 0))
