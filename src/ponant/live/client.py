"""How other processes use live knowledge."""

from collections.abc import Mapping, Sequence
from typing import Any

from ponant.kit import Settings
from ponant.kit.errors import NotFound
from ponant.live.access import AccessClient
from ponant.live.conversation import Conversation
from ponant.live.documents_client import DocumentsClient
from ponant.live.indexing.embedding import EmbedderSource
from ponant.live.port import (
    Document,
    FolderListing,
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
from ponant.live.relations.client import RelationsClient
from ponant.live.reranking import Rerank, candidates, reranked
from ponant.live.sources.client import SourcesClient
from ponant.live.standing.client import StandingClient
from ponant.store import Scope


class LiveClient(Conversation):
    """Live knowledge, asked over the local socket. Every method takes whose it is first.

    Every method may raise Unavailable while there is no live process.

    Args:
        embedder: waits until there is an embedder that the process may ask through this client.
        rerank: orders what searches found, where they ask for it.
    """

    def __init__(
        self,
        settings: Settings,
        embedder: EmbedderSource | None = None,
        rerank: Rerank | None = None,
    ) -> None:
        super().__init__(settings, embedder)
        self._rerank = rerank
        self.access = AccessClient(self)
        self.documents = DocumentsClient(self)
        self.relations = RelationsClient(self.call)
        self.sources = SourcesClient(self.call)
        self.standing = StandingClient(self)

    # Libraries

    async def create_library(
        self, scope: Scope, name: str, description: str = "", owner_id: str | None = None
    ) -> Library:
        """A new, empty library."""
        arguments = {"name": name, "description": description, "owner_id": owner_id}
        return await self.call(Library, "create_library", scope, **arguments)

    async def list_libraries(self, scope: Scope) -> list[Library]:
        """The workspace's libraries, the oldest first."""
        return await self.call(list[Library], "list_libraries", scope)

    async def get_library(self, scope: Scope, library_id: str) -> Library:
        """One library; NotFound where it is not there for this scope."""
        return await self.call(Library, "get_library", scope, library_id=library_id)

    async def update_library(
        self, scope: Scope, library_id: str, name: str | None = None, description: str | None = None
    ) -> Library:
        """Give a library another name or description; None leaves what it is."""
        arguments = {"library_id": library_id, "name": name, "description": description}
        return await self.call(Library, "update_library", scope, **arguments)

    async def delete_library(self, scope: Scope, library_id: str) -> None:
        """Delete a library; folders that it followed stay as they are."""
        await self.call(None, "delete_library", scope, library_id=library_id)

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
        """Follow a place; ``trusted`` is for the system user's command line alone."""
        arguments = {
            "library_id": library_id,
            "kind": kind,
            "config": config,
            "secrets": secrets,
            "trusted": trusted,
        }
        return await self.call(Source, "add_source", scope, **arguments)

    async def list_sources(self, scope: Scope, library_id: str) -> list[Source]:
        """A library's sources, the oldest first."""
        return await self.call(list[Source], "list_sources", scope, library_id=library_id)

    async def remove_source(self, scope: Scope, library_id: str, source_id: str) -> None:
        """Stop following a folder; what it brought stops answering."""
        arguments = {"library_id": library_id, "source_id": source_id}
        await self.call(None, "remove_source", scope, **arguments)

    async def list_folders(self, scope: Scope, path: str | None = None) -> FolderListing:
        """The folders in which HTTP callers may declare sources."""
        return await self.call(FolderListing, "list_folders", scope, path=path)

    async def create_sample(self, scope: Scope, owner_id: str | None = None) -> Sample:
        """A library over a copy of the folder that ships with Ponant; the same at every call."""
        return await self.call(Sample, "create_sample", scope, owner_id=owner_id)

    # Documents

    async def list_documents(self, scope: Scope, library_id: str) -> list[Document]:
        """A library's documents by path."""
        return await self.call(list[Document], "list_documents", scope, library_id=library_id)

    async def get_document(self, scope: Scope, library_id: str, document_id: str) -> Document:
        """One document; NotFound where it is not there, or not any more."""
        arguments = {"library_id": library_id, "document_id": document_id}
        return await self.call(Document, "get_document", scope, **arguments)

    async def document_text(self, scope: Scope, library_id: str, document_id: str) -> str:
        """A document's whole text, into which passages point."""
        arguments = {"library_id": library_id, "document_id": document_id}
        return await self.call(str, "document_text", scope, **arguments)

    async def add_document(
        self,
        scope: Scope,
        library_id: str,
        name: str,
        data: bytes,
        *,
        metadata: Mapping[str, MetadataValue] | None = None,
        access: Sequence[str] | None = None,
        replace: bool = True,
    ) -> Document:
        """Keep a dropped file; it is on disk when this returns, and read soon after.

        Args:
            access: marks of who may read it; None is everybody, or who could before.
            replace: take the place of a file of the same name.
        """
        arguments = {
            "library_id": library_id,
            "name": name,
            "data": data,
            "metadata": None if metadata is None else dict(metadata),
            "access": None if access is None else list(access),
            "replace": replace,
        }
        return await self.call(Document, "add_document", scope, **arguments)

    async def delete_document(self, scope: Scope, library_id: str, document_id: str) -> None:
        """Delete a dropped file; Conflict where a folder brought it."""
        arguments = {"library_id": library_id, "document_id": document_id}
        await self.call(None, "delete_document", scope, **arguments)

    # Passages

    async def search(
        self,
        scope: Scope,
        library_ids: Sequence[str],
        query: str,
        limit: int = 10,
        options: SearchOptions | None = None,
    ) -> SearchResult:
        """The passages that answer best, by keywords and by meaning."""
        if options is None or not options.rerank:
            return await self._search(scope, library_ids, query, limit, options)
        if self._rerank is None:
            raise NotFound("No model orders passages here. Ask without rerank.")
        most, plain = candidates(limit, options)
        found = await self._search(scope, library_ids, query, most, plain)
        return await reranked(found, query, limit, options, self._rerank)

    async def _search(
        self,
        scope: Scope,
        library_ids: Sequence[str],
        query: str,
        limit: int,
        options: SearchOptions | None,
    ) -> SearchResult:
        arguments = {
            "library_ids": list(library_ids),
            "query": query,
            "limit": limit,
            "options": options,
        }
        return await self.call(SearchResult, "search", scope, **arguments)

    async def get_passage(self, scope: Scope, passage_id: str) -> PassageView:
        """A passage in its document; NotFound where it is not there, or not any more."""
        return await self.call(PassageView, "get_passage", scope, passage_id=passage_id)

    async def check_passages(
        self, scope: Scope, passages: Sequence[PassageRef]
    ) -> list[PassageState]:
        """What became of passages, in their order."""
        return await self.call(list[PassageState], "check_passages", scope, passages=list(passages))

    async def questions(self, scope: Scope, library_id: str) -> list[str]:
        """Up to four questions that the library's documents answer."""
        return await self.call(list[str], "questions", scope, library_id=library_id)

    async def status(self, scope: Scope) -> Status:
        """How the live process fares."""
        return await self.call(Status, "status", scope)
