"""What may be done to a single document: its name and metadata changed, its file read again."""

from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from ponant.kit.errors import Conflict, NotFound
from ponant.live.indexing.index import Index, Moved
from ponant.live.port import Document, MetadataValue
from ponant.live.queries import Queries
from ponant.live.sources.uploads import Uploads
from ponant.store import Scope

_Run = Callable[..., Coroutine[Any, Any, Any]]


class Documents:
    """The part of live knowledge for single documents.

    Args:
        read: runs a function that reads.
        write: runs a function on the thread that writes.
        publish: told of each version.
    """

    METHODS: ClassVar[frozenset[str]] = frozenset({"content", "reprocess", "update"})

    def __init__(
        self,
        index: Index,
        queries: Queries,
        uploads: Uploads,
        read: _Run,
        write: _Run,
        publish: Callable[[Scope, Moved], None],
    ) -> None:
        self._index = index
        self._queries = queries
        self._uploads = uploads
        self._read = read
        self._write = write
        self._publish = publish

    async def update(
        self,
        scope: Scope,
        library_id: str,
        document_id: str,
        name: str | None = None,
        metadata: dict[str, MetadataValue] | None = None,
    ) -> Document:
        """Give a document another name or other metadata; None leaves what it is.

        What a source brings, it names: only its metadata changes, until the source brings it anew.

        Raises:
            Conflict: a source named it.
        """
        document = await self._document(scope, library_id, document_id)
        if name is not None and name != document.name:
            if document.source_id is not None:
                raise Conflict(f"{document.name} is named by its source. Rename it there.")
            moved = await self._write(self._uploads.rename, scope, library_id, document_id, name)
            self._publish(scope, moved)
        if metadata is not None:
            await self._write(
                self._index.set_document, scope, document_id, attributes=dict(metadata)
            )
        return await self._document(scope, library_id, document_id)

    async def content(self, scope: Scope, library_id: str, document_id: str) -> bytes:
        """The file as it was dropped.

        Raises:
            NotFound: it came from a source, which has it.
        """
        document = await self._document(scope, library_id, document_id)
        if document.source_id is not None:
            raise NotFound(f"{document.name} is kept by its source, and only its text is here.")
        data: bytes = await self._read(self._uploads.content, scope, library_id, document_id)
        return data

    async def reprocess(self, scope: Scope, library_id: str, document_id: str) -> None:
        """Read a dropped file again.

        Raises:
            Conflict: it came from a source, which brings it when it changes.
        """
        document = await self._document(scope, library_id, document_id)
        if document.source_id is not None:
            raise Conflict(f"{document.name} is read again when its source changes it.")
        await self._uploads.again(scope, library_id, document_id)

    async def _document(self, scope: Scope, library_id: str, document_id: str) -> Document:
        found: Document = await self._read(self._queries.document, scope, library_id, document_id)
        return found
