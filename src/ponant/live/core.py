"""What live knowledge is made of, put together, and what keeps it going."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import msgspec

from ponant.kit import Clock
from ponant.kit.sealing import Seal
from ponant.kit.tasks import Tasks
from ponant.live import freshness
from ponant.live.declarations import Declarations
from ponant.live.indexing import pgvector
from ponant.live.indexing.backfill import Backfill
from ponant.live.indexing.embedding import EmbeddingGate
from ponant.live.indexing.index import Index, Moved
from ponant.live.indexing.ingestion import Ingestion
from ponant.live.indexing.keeping import keep_all
from ponant.live.indexing.relaying import relay_all
from ponant.live.indexing.search import Meaning, Ranking, ranked
from ponant.live.indexing.waiting import Waiting
from ponant.live.port import Change, Embedder, Freshness, Notice, SearchOptions, SearchResult
from ponant.live.queries import Queries
from ponant.live.relations.service import Relations
from ponant.live.sources.followers import Followers
from ponant.live.sources.uploads import Uploads
from ponant.live.sources.vault import Vault
from ponant.live.standing.part import Standing
from ponant.live.tables import LibraryRow, SourceRow
from ponant.live.telling import Teller
from ponant.store import Database, Scope

_READERS = 4
_OFFERED_SECONDS = 0.3  # that the embedder has to be offered before sources are looked at
_SEARCHERS = 8  # those who wait for their question's vector among them

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Core:
    """Index, sources, standing queries and tables of an installation, each told of the others.

    Args:
        home: where Ponant keeps its data.
        roots: folders that HTTP callers may declare sources in, resolved.
        database: live.db, migrated.
        listener: told of every change, on the event loop.
        notify: told what else is worth a look, on the event loop.
        networks: addresses in the operator's own network that HTTP callers' sources may reach.
        tables_memory: bytes that live tables may take.
        brokers: Kafka brokers that HTTP callers' sources may read from.
        secrets_key: what sources' secrets are sealed with; None is a file under ``home``.
        vectors: where vectors are compared, see `pgvector.chosen`.
    """

    def __init__(
        self,
        home: Path,
        roots: Sequence[Path],
        database: Database,
        clock: Clock,
        listener: Callable[[Change], None],
        notify: Callable[[Notice], None] = lambda _: None,
        networks: Sequence[str] = (),
        tables_memory: int = 512 << 20,
        secrets_key: str | None = None,
        brokers: Sequence[str] = (),
        vectors: str = "auto",
    ) -> None:
        self._home = home
        self._clock = clock
        self._notify = notify
        self._index = Index(database, clock, home / "vectors", pgvector.chosen(database, vectors))
        self._gate = EmbeddingGate()
        self._queries = Queries(home, roots, self._index)
        self._declarations = Declarations(database, clock)
        self._ingestion = Ingestion(self._index, self._gate, self._moved)
        self._teller = Teller(partial(self._tell, listener), self._fresh)
        self._uploads = Uploads(home, self._ingestion, self._teller.announce)
        self._backfill = Backfill(self._queries, self._gate, self._ingestion, self._teller.announce)
        self._waiting = Waiting(self._version)
        self._readers = ThreadPoolExecutor(_READERS, "live-reader")
        self._vault = Vault(Seal(home, secrets_key))
        self._searchers = ThreadPoolExecutor(_SEARCHERS, "live-searcher")
        self._followers = Followers(
            home,
            tuple(networks),
            self._ingestion,
            self._queries,
            self._declarations,
            self._uploads,
            self._teller.announce,
            self._vault,
            frozenset(brokers),
        )
        self._tasks = Tasks("live knowledge")
        self._standing = Standing(
            database,
            read=self._read,
            write=self._ingestion.write,
            search=self._search,
            embed=self._gate.question,
            identity=lambda: self._gate.identity,
            tell=notify,
        )
        self._relations = Relations(home, tables_memory)
        self._relations.on_change(
            lambda one: notify(
                Notice(part="standing", workspace_id=one.workspace_id, keys=(one.query,))
            )
        )

    async def start(self) -> None:
        """Answer from now on; sources are followed once what is stored is found by meaning."""
        loading = self._tasks.spawn(self._ingestion.write(self._index.load_last))
        followed = [
            (scope, row)
            for library_id, workspace_id in await self._read(self._queries.places)
            for scope in (Scope(workspace_id=workspace_id),)
            for row in await self._read(self._queries.sources, scope, library_id)
        ]
        for scope, row in followed:
            self._followers.follow(scope, row)
        await self._standing.load()
        self._tasks.spawn(self._go_on(loading, followed))

    async def _go_on(
        self, loading: asyncio.Task[None], followed: Sequence[tuple[Scope, SourceRow]]
    ) -> None:
        """Begin what may wait until searches are answered, whose processor time it takes."""
        await asyncio.wait((loading,))
        if self._index.identity is not None:  # of the embedder that is most likely offered next
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gate.connected.wait(), _OFFERED_SECONDS)
        self._ingestion.begun.set()
        self._tasks.spawn(self._standing.run())
        self._tasks.spawn(self._relations.start())
        self._tasks.spawn(self._uploads.run())
        self._tasks.spawn(self._backfill.run())
        self._tasks.spawn(relay_all(self._ingestion))
        self._tasks.spawn(keep_all(self._ingestion))
        for scope, row in followed:
            await self._ingestion.write(
                self._vault.renew, self._index.database, scope, row.library_id, row.id
            )

    async def close(self) -> None:
        """End everything; what was stored is stored."""
        await self._followers.close()
        await self._tasks.close()
        await self._relations.close()
        await self._teller.close()
        await self._followers.meaning.close()
        await self._ingestion.close()
        await asyncio.to_thread(self._searchers.shutdown)  # some wait for this loop
        self._readers.shutdown(wait=True)

    async def connect(self, embedder: Embedder) -> None:
        """Search by meaning from now on."""
        await self._ingestion.write(self._load, embedder.identity)
        await self._backfill.count()
        self._gate.connect(embedder)
        self._standing.refresh()
        self._ingestion.waiting.set()
        for library_id, workspace_id in await self._read(self._queries.places):
            self._teller.announce(Scope(workspace_id=workspace_id), library_id)

    def _load(self, identity: str) -> None:
        if identity != self._index.identity:
            self._index.load_vectors(identity)

    async def _search(
        self,
        scope: Scope,
        library_ids: Sequence[str],
        query: str,
        vector: Meaning,
        limit: int,
        options: SearchOptions,
    ) -> tuple[SearchResult, Ranking]:
        run = partial(ranked, self._index, scope, library_ids, query, vector, limit, options)
        return await asyncio.get_running_loop().run_in_executor(self._searchers, run)

    async def _read(self, function: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, partial(function, *args, **kwargs))

    async def _version(self, scope: Scope, library_id: str) -> int:
        return (await self._read(self._queries.library, scope, library_id)).version

    def _tell(self, listener: Callable[[Change], None], change: Change) -> None:
        sources = self._followers.progress(change.library_id)
        listener(msgspec.structs.replace(change, sources=sources))

    def _moved(self, scope: Scope, moved: Moved) -> None:
        self._waiting.moved(moved.library_id)
        self._standing.notice(scope, moved)
        self._teller.moved(scope, moved.library_id, moved.documents)
        self._withdraw(scope, moved.withdrawn)

    def _withdraw(self, scope: Scope, ids: Sequence[str]) -> None:
        """Tell those who keep anything of what was shown that it is to be forgotten."""
        if ids:
            workspace = scope.workspace_id or ""
            self._notify(Notice(part="withdrawn", workspace_id=workspace, keys=tuple(ids)))

    async def _fresh(self, scope: Scope, library_id: str) -> Freshness:
        await self._followers.meaning.count(scope, library_id)
        return self._freshness(await self._read(self._queries.library, scope, library_id))

    def _freshness(self, row: LibraryRow) -> Freshness:
        return freshness.of(
            row,
            self._followers.states(row.id),
            self._uploads.waiting(row.id),
            self._ingestion.lacking[row.id],
            has_meaning=self._gate.identity is not None,
        )
