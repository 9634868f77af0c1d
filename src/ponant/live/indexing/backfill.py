"""Embeds passages that were stored before their vectors were at hand."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog

from ponant.kit.errors import NotFound, PonantError
from ponant.live import faults
from ponant.live.indexing.changes import Moved, Vector
from ponant.live.indexing.embedding import EmbeddingGate
from ponant.live.indexing.ingestion import Ingestion
from ponant.live.queries import Queries
from ponant.store import Scope

_PAUSE_SECONDS = 1.0
_SPARED = 20.0  # times as long as a count took, nothing is counted
_AT_ONCE = 32  # passages that one transaction adds vectors to
_ASKED_AHEAD = 2  # times as many at the embedder's door; the gate says how many it lets in

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Passages whose vectors are being made, and by what."""

    identity: str
    rows: frozenset[int]
    vectors: asyncio.Future[dict[int, tuple[str, Vector]]]


class Backfill:
    """Adds what vectors are missing, the newest passages first.

    What is missing stands in the database, so that a restart goes on where the last life ended.
    """

    def __init__(
        self,
        queries: Queries,
        gate: EmbeddingGate,
        ingestion: Ingestion,
        announce: Callable[[Scope, str], None],
    ) -> None:
        self._queries = queries
        self._gate = gate
        self._ingestion = ingestion
        self._announce = announce
        self._counted_again: dict[str, float] = {}  # from when on a library's are counted anew

    async def run(self) -> None:
        """Embed until cancelled; sleeps while nothing is missing."""
        while True:
            await self._gate.connected.wait()
            await self._ingestion.waiting.wait()
            self._ingestion.waiting.clear()
            for library_id, workspace_id in await self._ingestion.aside(self._queries.places):
                try:
                    await self._library(Scope(workspace_id=workspace_id), library_id)
                except NotFound:
                    self._ingestion.lacking.pop(library_id, None)
                except PonantError as e:
                    await self._again(e.message)
                except Exception as e:  # noqa: BLE001 - or no passage would ever get a vector
                    await self._again(repr(e))

    async def _again(self, reason: str) -> None:
        _log.warning("Vectors are missing; it is tried again.", reason=reason)
        self._ingestion.waiting.set()
        await asyncio.sleep(_PAUSE_SECONDS)

    async def count(self) -> None:
        """Note how many are missing, of which a new life knows nothing yet.

        On the thread that writes, so that no change falls between the count and its note.
        """
        for library_id, missing in (await self._ingestion.write(self._missing)).items():
            self._ingestion.lacking[library_id] = missing

    def _missing(self) -> dict[str, int]:
        return {
            library_id: self._queries.missing_vectors(Scope(workspace_id=one), library_id)
            for library_id, one in self._queries.places()
        }

    async def _library(self, scope: Scope, library_id: str) -> None:
        """Embed what a library lacks; the embedder waits for no fetching and no storing."""
        asked: deque[_Asked] = deque()
        storing: asyncio.Future[Moved] | None = None  # the last vectors, while the next are made
        stored: set[int] = set()
        try:
            while True:
                on_their_way = stored.union(*(one.rows for one in asked))
                if rows := await self._next(scope, library_id, on_their_way):
                    asked.append(self._ask(rows))
                if not asked:
                    break
                if rows and len(asked) < _ASKED_AHEAD:
                    continue
                first = asked.popleft()
                found = await first.vectors
                if storing is not None:
                    self._publish(scope, await storing)
                put = self._ingestion.index.put_vectors
                write = self._ingestion.write(put, scope, library_id, first.identity, found)
                storing, stored = asyncio.ensure_future(write), set(found)
            if storing is not None:
                self._publish(scope, await storing)
        finally:
            for one in asked:
                one.vectors.cancel()
            last = [one.vectors for one in asked]
            await asyncio.gather(*last, *filter(None, [storing]), return_exceptions=True)
        # What was stored since the last look is counted already, and its turn comes next.
        if not self._ingestion.waiting.is_set() and self._ingestion.lacking.pop(library_id, 0):
            self._announce(scope, library_id)

    def _ask(self, rows: list[tuple[int, str, str]]) -> _Asked:
        identity = self._gate.identity or ""  # of the embedder that `_embedded` asks
        vectors = asyncio.ensure_future(self._embedded(rows))
        return _Asked(identity, frozenset(row for row, _, _ in rows), vectors)

    def _publish(self, scope: Scope, moved: Moved) -> None:
        self._ingestion.settling.stored()
        self._ingestion.publish(scope, moved)

    async def _tell(self, scope: Scope, library_id: str, least: int) -> None:
        """Tell how many are missing; counted now and then, as it takes the longer the more do."""
        begun = time.monotonic()
        if begun >= self._counted_again.get(library_id, 0.0):
            missing = await self._ingestion.aside(self._queries.missing_vectors, scope, library_id)
            now = time.monotonic()
            self._counted_again[library_id] = now + max(_PAUSE_SECONDS, _SPARED * (now - begun))
        else:
            missing = self._ingestion.lacking[library_id] - least
        self._ingestion.lacking[library_id] = max(missing, least)
        self._announce(scope, library_id)

    async def _embedded(self, rows: list[tuple[int, str, str]]) -> dict[int, tuple[str, Vector]]:
        """The rows' vectors; what stands in several of them is embedded once."""
        inputs = {key: text for _, key, text in rows}
        vectors = await self._gate.passages(list(inputs.values()))
        by_key = dict(zip(inputs, vectors, strict=True))
        faults.point("filled")
        return {row: (key, by_key[key]) for row, key, _ in rows}

    async def _next(
        self, scope: Scope, library_id: str, on_their_way: Collection[int]
    ) -> list[tuple[int, str, str]]:
        """Passages without a vector whose turn it is next; tells how many there are."""
        find, limit = self._queries.without_vector, _AT_ONCE + len(on_their_way)
        found = await self._ingestion.aside(find, scope, library_id, limit)
        rows = [row for row in found if row[0] not in on_their_way][:_AT_ONCE]
        if rows:
            await self._tell(scope, library_id, len(rows))
        return rows
