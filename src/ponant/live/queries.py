"""Reads live.db for those who ask: rows in, the structs of the port out."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from ponant.kit.errors import NotFound
from ponant.live import repository
from ponant.live.indexing import access, vector_rows
from ponant.live.indexing.index import Index
from ponant.live.indexing.search import hit
from ponant.live.port import Document, DocumentState, PassageRef, PassageState, PassageView
from ponant.live.questions import MOST, propose
from ponant.live.sources.roots import Roots
from ponant.live.tables import AccessRow, DocumentRow, LibraryRow, SourceRow
from ponant.store import Scope

Sizes = dict[str, tuple[int, int]]  # documents and bytes of each library

_QUESTIONED = 12  # documents that questions are proposed from
_MOST_CALLERS = 1000  # whose libraries' sizes are kept in mind


class Queries:
    """Synchronous reads; each sees one state of the database."""

    def __init__(self, home: Path, roots: Sequence[Path], index: Index) -> None:
        self._home = home
        self._roots = tuple(roots)
        self._index = index
        self._database = index.database
        self._sizes: dict[Scope, tuple[int, Sizes]] = {}  # with the count of writes before

    def places(self) -> list[tuple[str, str]]:
        """Every library with its workspace."""
        with self._database.read() as session:
            return repository.places(session)

    def roots(self) -> Roots:
        """The folders that sources may lie in now."""
        with self._database.read() as session:
            added = [Path(path) for path in repository.roots(session)]
        return Roots(self._home, (*self._roots, *added))

    def libraries(self, scope: Scope) -> list[tuple[LibraryRow, int, int]]:
        """Each library of a workspace with its number of documents and of bytes.

        A million documents take a while to count, so that is done again only after a write. On a
        server others may write.
        """
        writes, known = self._database.writes, self._sizes.get(scope)
        with self._database.read() as session:
            if known is None or known[0] != writes or self._database.is_server:
                known = writes, access.sizes(session, scope)
            rows = repository.libraries(session, scope)
        if len(self._sizes) >= _MOST_CALLERS:
            self._sizes.clear()
        self._sizes[scope] = known
        counts = known[1]
        return [(row, *counts.get(row.id, (0, 0))) for row in rows]

    def library(self, scope: Scope, library_id: str) -> LibraryRow:
        """One library's row.

        Raises:
            NotFound: it is not there for this scope.
        """
        with self._database.read() as session:
            return repository.library(session, scope, library_id)

    def sources(self, scope: Scope, library_id: str) -> list[SourceRow]:
        """A library's sources.

        Raises:
            NotFound: there is no such library for this scope.
        """
        with self._database.read() as session:
            repository.library(session, scope, library_id)
            return repository.sources(session, scope, library_id)

    def half_found(self, scope: Scope, library_id: str) -> dict[str, int]:
        """How many documents of each source are not yet found by meaning."""
        with self._database.read() as session:
            return repository.half_found(session, scope, library_id)

    def secrets(self, scope: Scope, library_id: str, source_id: str) -> dict[str, str]:
        """What a source signs in with."""
        with self._database.read() as session:
            return repository.secrets(session, scope, library_id, source_id)

    def documents(self, scope: Scope, library_id: str) -> list[Document]:
        """A library's documents by path.

        Raises:
            NotFound: there is no such library for this scope.
        """
        with self._database.read() as session:
            repository.library(session, scope, library_id)
            return [as_document(*found) for found in access.documents(session, scope, library_id)]

    def document(self, scope: Scope, library_id: str, document_id: str) -> Document:
        """One document.

        Raises:
            NotFound: it is not there for this scope.
        """
        with self._database.read() as session:
            return as_document(*access.document(session, scope, library_id, document_id))

    def stored(self, scope: Scope, library_id: str, document_id: str) -> Document:
        """One document, whether or not the caller may read it: for whoever just brought it.

        Raises:
            NotFound: it is not there.
        """
        with self._database.read() as session:
            return as_document(*access.stored(session, scope, library_id, document_id))

    def text(self, scope: Scope, library_id: str, document_id: str) -> str:
        """A document's text.

        Raises:
            NotFound: it is not there for this scope.
        """
        with self._database.read() as session:
            row, _ = access.document(session, scope, library_id, document_id, whole=True)
            return row.text

    def passage(self, scope: Scope, passage_id: str) -> PassageView:
        """A passage in its document.

        Raises:
            NotFound: it is not there now, or not for this scope.
        """
        with self._database.read() as session:
            row = repository.passage(session, scope, passage_id)
            found = None if row is None else access.passages(session, scope, [row]).get(row)
            if found is None:
                raise _no_passage(passage_id)
            library = repository.library(session, scope, found.library_id)
            document, readers = access.document(
                session, scope, found.library_id, found.document_id, whole=True
            )
        return PassageView(
            passage=hit(found, library),
            document=as_document(document, readers),
            text=document.text,
        )

    def check(self, scope: Scope, passages: Sequence[PassageRef]) -> list[PassageState]:
        """What became of passages, in their order."""
        ids = [passage.id for passage in passages]
        with self._database.read() as session:
            hashes = access.hashes(session, scope, ids)
            fates = repository.tombstones(session, scope, ids)
        states = []
        for passage in passages:
            if (digest := hashes.get(passage.id)) is not None:
                same = digest == passage.hash
                state = PassageState(
                    id=passage.id, state="current" if same else "changed", changed_at=None
                )
            else:
                fate, at = fates.get(passage.id, ("gone", None))
                state = PassageState(
                    id=passage.id, state="changed" if fate == "changed" else "gone", changed_at=at
                )
            states.append(state)
        return states

    def questions(self, scope: Scope, library_id: str) -> list[str]:
        """Up to four questions that a library answers.

        Raises:
            NotFound: there is no such library for this scope.
        """
        documents = [one for one in self.documents(scope, library_id) if one.state == "indexed"]
        texts = [
            (one.name, self.text(scope, library_id, one.id)) for one in documents[:_QUESTIONED]
        ]
        return propose(texts)[:MOST]

    def without_vector(
        self, scope: Scope, library_id: str, limit: int
    ) -> list[tuple[int, str, str]]:
        """Passages to embed: row id, input hash and what to embed."""
        with self._database.read() as session:
            rows = vector_rows.without_vector(session, scope, library_id, limit)
        return [
            (row.id, row.input_hash, f"{row.heading}\n{row.text}" if row.heading else row.text)
            for row in rows
        ]

    def missing_vectors(self, scope: Scope, library_id: str) -> int:
        """How many passages wait for an embedder."""
        with self._database.read() as session:
            return vector_rows.missing_vectors(session, scope, library_id)

    def totals(self) -> tuple[int, int, int]:
        """Libraries, documents and passages of the whole installation."""
        documents = passages = 0
        places = self.places()
        with self._database.read() as session:
            for workspace_id in {workspace_id for _, workspace_id in places}:
                scope = Scope(workspace_id=workspace_id)
                documents += sum(count for count, _ in repository.sizes(session, scope).values())
                passages += repository.count_passages(session, scope)
        return len(places), documents, passages


def _no_passage(passage_id: str) -> NotFound:
    return NotFound(
        f"The passage {passage_id} is not there. It may have changed or been deleted; search again."
    )


def as_document(row: DocumentRow, readers: AccessRow | None) -> Document:
    """A row as callers see it."""
    return Document(
        id=row.id,
        library_id=row.library_id,
        source_id=row.source_id,
        name=row.name,
        path=row.path if row.source_id else row.name,
        media_type=row.media_type,
        size=row.size,
        version=row.version,
        state=msgspec.convert(row.state, DocumentState),
        message=row.message,
        created_at=row.created_at,
        updated_at=row.updated_at,
        url=row.url,
        metadata=row.attributes,
        access=tuple(readers.marks) if readers else None,
    )
