"""Live knowledge in the process that owns it: libraries, their sources, and search."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from functools import cached_property
from typing import Any, ClassVar

from ponant.kit.errors import BadRequest, Conflict, NotFound
from ponant.live.access import checked_marks
from ponant.live.access_lists import AccessLists
from ponant.live.calls import Part
from ponant.live.core import Core
from ponant.live.declarations import Declared
from ponant.live.documents_part import Documents
from ponant.live.indexing.embedding import Vector
from ponant.live.indexing.search import there
from ponant.live.pipelines.keeping import Keeping
from ponant.live.port import (
    Document,
    FolderListing,
    Freshness,
    Library,
    MetadataValue,
    PassageRef,
    PassageState,
    PassageView,
    Sample,
    SearchOptions,
    SearchResult,
    Source,
    Status,
)
from ponant.live.sources.samples import copy_sample
from ponant.live.sources.uploads import Said
from ponant.live.standing.query import Asking, Found
from ponant.live.tables import LibraryRow
from ponant.store import Scope

_MOST_HITS = 50
_LONGEST_QUERY = 4000  # characters


class Knowledge(Core):
    """Everything that callers may ask of live knowledge; methods take whose it is first.

    What it is made of, and what it takes to make one, tells `Core`.
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

    @cached_property
    def parts(self) -> dict[str, Part]:
        """What has a room of its own; callers reach its methods as ``part.method``."""
        doing = (self._read, self._ingestion.write, self._moved)
        return {
            "access": AccessLists(self._index, *doing),
            "documents": Documents(self._index, self._queries, self._uploads, *doing),
            "pipelines": Keeping(self, self._followers.add),
            "relations": self._relations,
            "sources": self._followers,
            "standing": self._standing,
        }

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
        vector: Future[Vector | None] | None = None
        if chosen.mode != "keyword":  # keywords are looked for while the question is embedded
            asked = self._gate.question(query, scope.workspace_id)
            vector = asyncio.run_coroutine_threadsafe(asked, asyncio.get_running_loop())
        try:
            found = await self._search(scope, library_ids, query, vector, limit, chosen)
        finally:
            if vector is not None:
                vector.cancel()
        meant = there(vector)
        identity = None if meant is None else self._gate.identity
        asking = Asking.of(scope, library_ids, query, limit, chosen)
        self._standing.remember(asking, Found(*found, meant, identity))
        return found[0]

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
