"""Live knowledge in the process that owns it: libraries, their sources, and search."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, ParamSpec, TypeVar

import msgspec

from ponant.kit import Clock
from ponant.kit.errors import BadRequest, Conflict, NotFound
from ponant.live import freshness
from ponant.live.access import checked_marks
from ponant.live.access_lists import AccessLists
from ponant.live.calls import Part
from ponant.live.declarations import Declarations, Declared
from ponant.live.documents_part import Documents
from ponant.live.indexing.backfill import Backfill
from ponant.live.indexing.embedding import EmbeddingGate, Vector
from ponant.live.indexing.index import Index, Moved
from ponant.live.indexing.ingestion import Ingestion
from ponant.live.indexing.keeping import keep_all
from ponant.live.indexing.relaying import relay_all
from ponant.live.indexing.search import search
from ponant.live.indexing.waiting import Waiting
from ponant.live.pipelines.keeping import Keeping
from ponant.live.port import (
    Change,
    Document,
    Embedder,
    FolderListing,
    Freshness,
    Library,
    MetadataValue,
    Notice,
    PassageRef,
    PassageState,
    PassageView,
    Sample,
    SearchOptions,
    SearchResult,
    Source,
    Status,
)
from ponant.live.queries import Queries
from ponant.live.relations.service import Relations
from ponant.live.sources.followers import Followers
from ponant.live.sources.samples import copy_sample
from ponant.live.sources.uploads import Said, Uploads
from ponant.live.standing.part import Standing
from ponant.live.tables import LibraryRow
from ponant.live.telling import Teller
from ponant.store import Database, Scope

_MOST_HITS = 50
_LONGEST_QUERY = 4000  # characters
_READERS = 4

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Knowledge:
    """Everything that callers may ask of live knowledge; methods take whose it is first.

    Args:
        home: where Ponant keeps its data.
        roots: folders that HTTP callers may declare sources in, resolved.
        database: live.db, migrated.
        listener: told of every change, on the event loop.
        notify: told what else is worth a look, on the event loop.
        networks: addresses in the operator's own network that HTTP callers' sources may reach.

    Attributes:
        parts: what has a room of its own; callers reach its methods as ``part.method``.
    """

    METHODS: ClassVar[frozenset[str]] = frozenset(
        {
            "add_document",
            "add_source",
            "check_passages",
            "create_library",
            "create_sample",
            "delete_document",
            "delete_library",
            "document_text",
            "get_document",
            "get_library",
            "get_passage",
            "list_documents",
            "list_folders",
            "list_libraries",
            "list_sources",
            "questions",
            "remove_source",
            "search",
            "status",
            "update_library",
        }
    )

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
    ) -> None:
        self._home = home
        self._clock = clock
        self._notify = notify
        self._index = Index(database, clock, home / "vectors")
        self._gate = EmbeddingGate()
        self._queries = Queries(home, roots, self._index)
        self._declarations = Declarations(database, clock)
        self._ingestion = Ingestion(self._index, self._gate, self._moved)
        self._teller = Teller(partial(self._tell, listener), self._fresh)
        self._uploads = Uploads(home, self._ingestion, self._teller.announce)
        self._backfill = Backfill(self._queries, self._gate, self._ingestion, self._teller.announce)
        self._waiting = Waiting(self._version)
        self._readers = ThreadPoolExecutor(_READERS, "live-reader")
        self._followers = Followers(
            home,
            tuple(networks),
            self._ingestion,
            self._queries,
            self._declarations,
            self._uploads,
            self._teller.announce,
        )
        self._tasks: set[asyncio.Task[None]] = set()
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
        self.parts: dict[str, Part] = {
            "pipelines": Keeping(self, self._followers.add),
            "relations": self._relations,
            "sources": self._followers,
            "standing": self._standing,
        }
        doing = (self._read, self._ingestion.write, self._moved)
        self.parts["access"] = AccessLists(self._index, *doing)
        self.parts["documents"] = Documents(self._index, self._queries, self._uploads, *doing)

    async def start(self) -> None:
        """Begin to follow every source."""
        for library_id, workspace_id in await self._read(self._queries.places):
            scope = Scope(workspace_id=workspace_id)
            for row in await self._read(self._queries.sources, scope, library_id):
                self._followers.follow(scope, row)
        await self._standing.load()
        self._spawn(self._standing.run())
        self._spawn(self._relations.start())
        self._spawn(self._uploads.run())
        self._spawn(self._backfill.run())
        self._spawn(relay_all(self._ingestion))
        self._spawn(keep_all(self._ingestion))

    async def close(self) -> None:
        """End everything; what was stored is stored."""
        await self._followers.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._relations.close()
        await self._teller.close()
        await self._ingestion.close()
        self._readers.shutdown(wait=True)

    async def connect(self, embedder: Embedder) -> None:
        """Search by meaning from now on."""
        if embedder.identity != self._index.identity:
            await self._ingestion.write(self._index.load_vectors, embedder.identity)
        await self._backfill.count()
        self._gate.connect(embedder)
        self._standing.refresh()
        self._ingestion.waiting.set()
        for library_id, workspace_id in await self._read(self._queries.places):
            self._teller.announce(Scope(workspace_id=workspace_id), library_id)

    # Libraries

    async def create_library(
        self, scope: Scope, name: str, description: str = "", owner_id: str | None = None
    ) -> Library:
        """A new, empty library."""
        library_id = await self._ingestion.write(
            self._declarations.create_library, scope, name, description, owner_id
        )
        return await self.get_library(scope, library_id)

    async def list_libraries(self, scope: Scope) -> list[Library]:
        """The workspace's libraries, the oldest first."""
        rows = await self._read(self._queries.libraries, scope)
        return [self._library(*row) for row in rows]

    async def get_library(self, scope: Scope, library_id: str) -> Library:
        """One library.

        Raises:
            NotFound: it is not there for this scope.
        """
        for row, documents, size in await self._read(self._queries.libraries, scope):
            if row.id == library_id:
                return self._library(row, documents, size)
        raise NotFound(f"There is no library {library_id}. List the libraries to see which exist.")

    async def update_library(
        self, scope: Scope, library_id: str, name: str | None = None, description: str | None = None
    ) -> Library:
        """Give a library another name or description; None leaves what it is."""
        await self._ingestion.write(
            self._declarations.update_library, scope, library_id, name, description
        )
        return await self.get_library(scope, library_id)

    async def delete_library(self, scope: Scope, library_id: str) -> None:
        """Delete a library with all that it holds; folders that it followed stay as they are."""
        library = await self.get_library(scope, library_id)
        documents = await self.list_documents(scope, library_id)
        for row in await self._read(self._queries.sources, scope, library_id):
            await self._followers.unfollow(row.id)
            await self._followers.forget(scope, row)
        await self._ingestion.write(self._declarations.delete_library, scope, library_id)
        await self._ingestion.write(self._uploads.remove, library_id)
        self._index.forget_library(library_id)
        self._standing.gone(library_id)
        self._withdraw(scope, [library_id])
        version, now = library.freshness.version + 1, self._clock.now()
        gone = Freshness(state="in_step", version=version, as_of=now, message="Deleted.")
        told = [(one.id, one.name if one.access is None else "") for one in documents]
        self._teller.ended(scope, library_id, gone, told)

    # Sources

    async def add_source(
        self,
        scope: Scope,
        library_id: str,
        kind: str,
        config: dict[str, Any],
        *,
        secrets: dict[str, str] | None = None,
        trusted: bool = False,
    ) -> Source:
        """Follow a place that documents come from; see `ponant.live.sources.kinds`.

        Args:
            secrets: kept apart from the settings, and never shown.
            trusted: the system user asks, on the command line: any folder and any address may be
                followed, and the folder joins the allowed roots.

        Raises:
            BadRequest: the kind is unknown or its settings do not fit.
            Forbidden: a source may not reach what they name.
            Conflict: the library follows the same already.
        """
        return await self._followers.add(
            scope, library_id, kind, config, secrets or {}, trusted=trusted
        )

    async def list_sources(self, scope: Scope, library_id: str) -> list[Source]:
        """A library's sources, the oldest first."""
        return await self._followers.listed(scope, library_id)

    async def remove_source(self, scope: Scope, library_id: str, source_id: str) -> None:
        """Stop following a folder; what it brought stops answering.

        Raises:
            NotFound: there is no such source in the library.
        """
        rows = await self._read(self._queries.sources, scope, library_id)
        for row in rows:
            if row.id == source_id:
                await self._followers.unfollow(source_id)
                await self._followers.forget(scope, row)
        moved = await self._ingestion.write(self._index.remove_source, scope, library_id, source_id)
        self._moved(scope, moved)

    async def list_folders(self, scope: Scope, path: str | None = None) -> FolderListing:  # noqa: ARG002 - the same for every scope
        """The folders in which HTTP callers may declare sources."""
        roots = await self._read(self._queries.roots)
        return await self._read(roots.list, path)

    async def create_sample(self, scope: Scope, owner_id: str | None = None) -> Sample:
        """A library over a small folder that ships with Ponant.

        The folder is a copy under the home, so that it can be edited; asked for again, the same
        library is returned.
        """
        folder = await self._read(copy_sample, self._home, scope.workspace_id or "")
        config = {"path": str(folder)}
        for library in await self.list_libraries(scope):
            rows = await self._read(self._queries.sources, scope, library.id)
            if any(row.config == config for row in rows):
                return Sample(library=library, path=str(folder))
        library = await self.create_library(
            scope, "Sample", "A small handbook to try things out with.", owner_id
        )
        sample = Declared("folder", config, {}, str(folder))
        row = await self._ingestion.write(
            self._declarations.add_source, scope, library.id, sample, trusted=False
        )
        self._followers.follow(scope, row)
        return Sample(library=await self.get_library(scope, library.id), path=str(folder))

    # Documents

    async def list_documents(self, scope: Scope, library_id: str) -> list[Document]:
        """A library's documents by path."""
        return await self._read(self._queries.documents, scope, library_id)

    async def get_document(self, scope: Scope, library_id: str, document_id: str) -> Document:
        """One document; NotFound where it is not there, or not any more."""
        return await self._read(self._queries.document, scope, library_id, document_id)

    async def document_text(self, scope: Scope, library_id: str, document_id: str) -> str:
        """A document's whole text, into which passages point."""
        return await self._read(self._queries.text, scope, library_id, document_id)

    async def add_document(
        self,
        scope: Scope,
        library_id: str,
        name: str,
        data: bytes,
        *,
        metadata: dict[str, MetadataValue] | None = None,
        access: tuple[str, ...] | None = None,
        replace: bool = True,
    ) -> Document:
        """Keep a dropped file; it is on disk when this returns, and read soon after.

        Args:
            metadata: None leaves that of the file whose place it takes.
            access: marks of who may read it, from its first moment; None leaves who could before.
            replace: take the place of the caller's readable file of the same name.
        """
        said = Said(metadata=metadata, access=None if access is None else checked_marks(access))
        document_id = await self._uploads.add(scope, library_id, name, data, said, replace=replace)
        self._teller.announce(scope, library_id)
        # Whoever added it may see that it is there, whomever it is for.
        return await self._read(self._queries.stored, scope, library_id, document_id)

    async def delete_document(self, scope: Scope, library_id: str, document_id: str) -> None:
        """Delete a dropped file.

        Raises:
            Conflict: a folder brought it; it goes when the file does.
        """
        found = await self.get_document(scope, library_id, document_id)
        if found.source_id is not None:
            raise Conflict(f"{found.name} comes from a folder. Delete the file there.")
        moved = await self._ingestion.write(self._uploads.delete, scope, library_id, document_id)
        self._moved(scope, moved)

    # Passages

    async def search(
        self,
        scope: Scope,
        library_ids: Sequence[str],
        query: str,
        limit: int = 10,
        options: SearchOptions | None = None,
    ) -> SearchResult:
        """The passages that answer best, by keywords and by meaning.

        Raises:
            BadRequest: the query is empty or too long, or the limit does not fit.
            NotFound: a library is not there for this scope.
            Unavailable: a library has not reached the version that is asked for in time.
        """
        if not query.strip():
            raise BadRequest("The query is empty. Say what to look for.", param="query")
        if not 1 <= limit <= _MOST_HITS:
            raise BadRequest(f"The limit must be from 1 to {_MOST_HITS}.", param="limit")
        query, chosen = query[:_LONGEST_QUERY], options or SearchOptions()
        await self._waiting.until(scope, chosen.at_least, chosen.wait)
        vector = await self._gate.question(query) if chosen.mode != "keyword" else None
        return await self._search(scope, library_ids, query, vector, limit, chosen)

    async def _search(
        self,
        scope: Scope,
        library_ids: Sequence[str],
        query: str,
        vector: Vector | None,
        limit: int,
        options: SearchOptions,
    ) -> SearchResult:
        index = self._index
        return await self._read(search, index, scope, library_ids, query, vector, limit, options)

    async def get_passage(self, scope: Scope, passage_id: str) -> PassageView:
        """A passage in its document; NotFound where it is not there, or not any more."""
        return await self._read(self._queries.passage, scope, passage_id)

    async def check_passages(
        self, scope: Scope, passages: Sequence[PassageRef]
    ) -> list[PassageState]:
        """What became of passages, in their order; one that was never there is gone."""
        return await self._read(self._queries.check, scope, passages)

    async def questions(self, scope: Scope, library_id: str) -> list[str]:
        """Up to four questions that the library's documents answer."""
        return await self._read(self._queries.questions, scope, library_id)

    async def status(self, scope: Scope) -> Status:  # noqa: ARG002 - the same for every scope
        """How the process fares, over all workspaces."""
        libraries, documents, passages = await self._read(self._queries.totals)
        return Status(
            libraries=libraries,
            documents=documents,
            passages=passages,
            embedder=self._gate.identity,
            watching=len(self._followers),
        )

    # What keeps it all going

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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

    # Rows as callers see them

    def _library(self, row: LibraryRow, documents: int, size: int) -> Library:
        return Library(
            id=row.id,
            name=row.name,
            description=row.description,
            created_at=row.created_at,
            updated_at=row.updated_at,
            owner_id=row.owner_id,
            documents=documents,
            total_size=size,
            freshness=self._freshness(row),
        )

    async def _fresh(self, scope: Scope, library_id: str) -> Freshness:
        return self._freshness(await self._read(self._queries.library, scope, library_id))

    def _freshness(self, row: LibraryRow) -> Freshness:
        return freshness.of(
            row,
            self._followers.states(row.id),
            self._uploads.waiting(row.id),
            self._ingestion.lacking[row.id],
            has_meaning=self._gate.identity is not None,
        )
