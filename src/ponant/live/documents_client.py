"""How other processes change single documents."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ponant.live.port import Document, MetadataValue
from ponant.store import Scope

if TYPE_CHECKING:
    from ponant.live.client import LiveClient


class DocumentsClient:
    """Single documents, asked over the local socket."""

    def __init__(self, live: "LiveClient") -> None:
        self._live = live

    async def update(
        self,
        scope: Scope,
        library_id: str,
        document_id: str,
        name: str | None = None,
        metadata: Mapping[str, MetadataValue] | None = None,
    ) -> Document:
        """Give a document another name or other metadata; None leaves what it is."""
        arguments = {
            "library_id": library_id,
            "document_id": document_id,
            "name": name,
            "metadata": None if metadata is None else dict(metadata),
        }
        return await self._live.call(Document, "documents.update", scope, **arguments)

    async def content(self, scope: Scope, library_id: str, document_id: str) -> bytes:
        """The file as it was dropped; NotFound where a source has it."""
        arguments = {"library_id": library_id, "document_id": document_id}
        return await self._live.call(bytes, "documents.content", scope, **arguments)

    async def reprocess(self, scope: Scope, library_id: str, document_id: str) -> None:
        """Read a dropped file again."""
        arguments = {"library_id": library_id, "document_id": document_id}
        await self._live.call(None, "documents.reprocess", scope, **arguments)
