"""Sets and shows access lists inside the live process."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ClassVar

from ponant.live import repository
from ponant.live.access import DocumentAccess, checked_marks, may_read
from ponant.live.access_rows import access_marks, marks_of_paths
from ponant.live.indexing.index import Index, Moved
from ponant.store import Scope

Write = Callable[..., Coroutine[Any, Any, Moved]]


class AccessLists:
    """The part of live knowledge that sets and shows access lists.

    Whether a caller may decide is the business of who asks; who may read is decided here.

    Args:
        write: runs a function on the thread that writes.
        publish: told of each version.
    """

    METHODS: ClassVar[frozenset[str]] = frozenset(
        {"closed", "closed_paths", "readable", "release", "set", "show"}
    )

    def __init__(
        self,
        index: Index,
        read: Callable[..., Coroutine[Any, Any, Any]],
        write: Write,
        publish: Callable[[Scope, Moved], None],
    ) -> None:
        self._index = index
        self._read = read
        self._write = write
        self._publish = publish

    async def set(
        self,
        scope: Scope,
        library_id: str,
        document_id: str,
        marks: Sequence[str] | None = None,
    ) -> DocumentAccess:
        """Let those with one of the marks read a document, whatever its source says.

        Args:
            marks: None is everybody who may read the library; an empty list is nobody.

        Raises:
            NotFound: there is no such document.
            Unprocessable: a mark is of no known kind.
        """
        wanted = None if marks is None else checked_marks(marks)
        return await self._change(scope, library_id, document_id, wanted, by_hand=True)

    async def release(self, scope: Scope, library_id: str, document_id: str) -> DocumentAccess:
        """Let the source decide again, from the next time on that it brings the document."""
        one = await self._read(self._one, scope, library_id, document_id)
        return await self._change(scope, library_id, document_id, one.access, by_hand=False)

    async def show(self, scope: Scope, library_id: str) -> list[DocumentAccess]:
        """Every document of a library with who may read it, for those who decide it."""
        found: list[DocumentAccess] = await self._read(self._show, scope, library_id)
        return found

    async def closed(self, scope: Scope, document_ids: Sequence[str]) -> list[str]:
        """Those of the documents that are there and that the caller may not read now."""
        found: list[str] = await self._read(self._closed, scope, document_ids)
        return found

    async def closed_paths(self, scope: Scope, library_id: str, paths: Sequence[str]) -> list[str]:
        """Those of the paths under which a document stands that the caller may not read."""
        found: list[str] = await self._read(self._closed_paths, scope, library_id, paths)
        return found

    async def readable(self, scope: Scope, document_ids: Sequence[str]) -> list[str]:
        """Those of the documents that are there and that the caller may read now."""
        found: list[str] = await self._read(self._readable, scope, document_ids)
        return found

    async def _change(
        self,
        scope: Scope,
        library_id: str,
        document_id: str,
        marks: tuple[str, ...] | None,
        *,
        by_hand: bool,
    ) -> DocumentAccess:
        moved = await self._write(
            self._index.set_access, scope, library_id, document_id, marks, by_hand=by_hand
        )
        self._publish(scope, moved)
        one: DocumentAccess = await self._read(self._one, scope, library_id, document_id)
        return one

    def _one(self, scope: Scope, library_id: str, document_id: str) -> DocumentAccess:
        with self._index.database.read() as session:
            row = repository.document(session, scope, library_id, document_id)
            lists = access_marks(session, scope, [row.id])
        return DocumentAccess(
            document_id=row.id,
            name=row.name,
            access=lists[row.id],
            by_hand=row.access_by_hand,
        )

    def _show(self, scope: Scope, library_id: str) -> list[DocumentAccess]:
        with self._index.database.read() as session:
            repository.library(session, scope, library_id)
            rows = repository.documents(session, scope, library_id)
            lists = access_marks(session, scope, [row.id for row in rows])
        return [
            DocumentAccess(
                document_id=row.id,
                name=row.name,
                access=lists[row.id],
                by_hand=row.access_by_hand,
            )
            for row in rows
        ]

    def _closed(self, scope: Scope, document_ids: Sequence[str]) -> list[str]:
        with self._index.database.read() as session:
            lists = access_marks(session, scope, list(set(document_ids)))
        return [key for key, marks in lists.items() if not may_read(scope, marks)]

    def _closed_paths(self, scope: Scope, library_id: str, paths: Sequence[str]) -> list[str]:
        with self._index.database.read() as session:
            repository.library(session, scope, library_id)
            lists = marks_of_paths(session, scope, library_id, paths)
        return [path for path, marks in lists.items() if not may_read(scope, marks)]

    def _readable(self, scope: Scope, document_ids: Sequence[str]) -> list[str]:
        with self._index.database.read() as session:
            lists = access_marks(session, scope, list(set(document_ids)))
        return [key for key, marks in lists.items() if may_read(scope, marks)]
