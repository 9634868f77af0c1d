"""What is known: live.db and the vectors in memory, moved from version to version together.

Every method that writes is one transaction. It stages the vectors of the next version before SQL
commits, so that a reader who sees version V in SQL finds V's vectors too. One thread writes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, update
from sqlalchemy.orm import Session

from ponant.kit import Clock, new_id
from ponant.live import repository
from ponant.live.indexing import vector_rows
from ponant.live.indexing.vectors import LibraryVectors, Snapshot
from ponant.live.reading.chunking import Chunk
from ponant.live.reading.passages import fates, passage_rows
from ponant.live.sources.port import About, Cursor
from ponant.live.tables import DocumentRow, PassageRow, SourceRow
from ponant.store import Database, Scope, in_scope

Vector = NDArray[np.float32]
DocumentChange = tuple[str, str, Literal["added", "updated", "deleted"]]


@dataclass(frozen=True, slots=True)
class Reading:
    """A file as it was read: what the file system said, its bytes' hash, its text in pieces."""

    path: str
    name: str
    media_type: str
    size: int
    signature: str
    content_hash: str
    text: str
    chunks: Sequence[Chunk]
    about: About = field(default_factory=About)


@dataclass(frozen=True, slots=True)
class Moved:
    """A library reached a new version.

    Attributes:
        added: rows of passages that are new in it.
        removed: rows of passages that are no longer in it.
        embedded: rows that are found by meaning from this version on.
        lacking: how many of the new passages have no vector yet.
    """

    library_id: str
    version: int
    as_of: datetime
    documents: tuple[DocumentChange, ...] = ()
    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    embedded: tuple[int, ...] = ()
    lacking: int = 0


@dataclass(slots=True)
class _Move:
    """A transaction on its way to the next version."""

    session: Session
    library_id: str
    version: int
    now: datetime
    removed: list[int] = field(default_factory=list)
    added: list[int] = field(default_factory=list)
    vectors: dict[int, Vector] = field(default_factory=dict)
    documents: list[DocumentChange] = field(default_factory=list)
    lacking: int = 0

    @property
    def moved(self) -> Moved:
        return Moved(
            library_id=self.library_id,
            version=self.version,
            as_of=self.now,
            documents=tuple(self.documents),
            added=tuple(self.added),
            removed=tuple(self.removed),
            embedded=tuple(self.vectors),
            lacking=self.lacking,
        )


class Index:
    """All libraries of an installation."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self.identity: str | None = None
        self._vectors: dict[str, LibraryVectors] = {}

    def load_vectors(self, identity: str) -> None:
        """Bring the stored vectors of this embedder into memory; until then there are none."""
        loaded: dict[str, LibraryVectors] = {}
        with self.database.write() as session:
            for library_id, workspace_id in repository.places(session):
                scope = Scope(workspace_id=workspace_id)
                vector_rows.note_vectors(session, scope, library_id, identity)
                row = repository.library(session, scope, library_id)
                stored = vector_rows.library_vectors(session, scope, library_id, identity)
                loaded[library_id] = vectors = LibraryVectors(row.version - 1)
                rows = {key: np.frombuffer(vector, np.float32) for key, vector in stored}
                vectors.stage(row.version, (), rows)
                vectors.publish(row.version)
        self._vectors, self.identity = loaded, identity

    def snapshot(self, library_id: str, version: int) -> Snapshot | None:
        """The vectors of one version; None where none are loaded or the version is long past."""
        vectors = self._vectors.get(library_id)
        return None if vectors is None else vectors.at(version)

    def put_document(
        self,
        scope: Scope,
        library_id: str,
        reading: Reading,
        *,
        document_id: str | None,
        source_id: str | None,
        vectors: Mapping[str, Vector],
        identity: str | None,
        cursor: Cursor | None = None,
    ) -> tuple[str, Moved]:
        """Store a document's new text with its passages, keywords and the vectors at hand.

        Args:
            cursor: where the source goes on after this change; None leaves the last one.
            vectors: by what was embedded (`input_hash`); those of an embedder that is no longer
                the one in use (``identity``) are left out.

        Returns:
            The document's id, and the version that shows it.

        Raises:
            NotFound: the library or the document is gone.
        """
        with self._moving(scope, library_id) as move:
            if document_id is None:
                document_id = _insert_document(move, scope, library_id, source_id, reading)
            else:
                _update_document(move, scope, library_id, document_id, reading)
            given = vectors if identity == self.identity else {}
            self._put_passages(move, scope, library_id, document_id, reading, given)
            _set_cursor(move.session, scope, source_id, cursor)
        return document_id, move.moved

    def put_failure(
        self,
        scope: Scope,
        library_id: str,
        reading: Reading,
        *,
        document_id: str | None,
        source_id: str | None,
        message: str,
        cursor: Cursor | None = None,
    ) -> tuple[str, Moved]:
        """Note that a file cannot be read; the text and passages it had before stay."""
        with self._moving(scope, library_id) as move:
            if document_id is None:
                document_id = _insert_document(move, scope, library_id, source_id, reading)
            values = _values(reading) | {"state": "failed", "message": message}
            del values["text"]
            _set_document(move.session, scope, document_id, values)
            _set_cursor(move.session, scope, source_id, cursor)
        return document_id, move.moved

    def delete_documents(
        self,
        scope: Scope,
        library_id: str,
        ids: Sequence[str],
        *,
        source_id: str | None = None,
        cursor: Cursor | None = None,
    ) -> Moved:
        """Remove documents; their passages stop answering with this version."""
        with self._moving(scope, library_id) as move:
            for document_id in ids:
                row = repository.document(move.session, scope, library_id, document_id)
                self._delete_document(move, scope, row)
            _set_cursor(move.session, scope, source_id, cursor)
        return move.moved

    def move_document(
        self, scope: Scope, library_id: str, document_id: str, path: str, name: str, signature: str
    ) -> Moved:
        """Note that a file has a new place; its passages stay what they are."""
        with self._moving(scope, library_id) as move:
            values = {"path": path, "name": name, "signature": signature, "updated_at": move.now}
            _set_document(move.session, scope, document_id, values)
            rows = repository.passages(move.session, scope, document_id)
            repository.drop_keywords(move.session, [row.id for row in rows])
            repository.write_keywords(move.session, library_id, name, rows)
            move.documents.append((document_id, name, "updated"))
        return move.moved

    def put_vectors(
        self, scope: Scope, library_id: str, identity: str, rows: Mapping[int, tuple[str, Vector]]
    ) -> Moved:
        """Add vectors that were not at hand when their passages were stored.

        Args:
            rows: by passage row id, what was embedded (`input_hash`) and its vector. Passages
                that went in the meantime are left out.
        """
        with self._moving(scope, library_id) as move:
            alive: dict[int, str] = {
                row.id: row.input_hash
                for row in repository.passages_at(move.session, scope, library_id, list(rows))
            }
            kept = {row: vector for row, (key, vector) in rows.items() if alive.get(row) == key}
            by_hash = {alive[row]: vector.tobytes() for row, vector in kept.items()}
            vector_rows.store_vectors(move.session, scope, identity, by_hash)
            vector_rows.mark_embedded(move.session, scope, list(kept), identity)
            if identity == self.identity:
                move.vectors.update(kept)
        return move.moved

    def remove_source(self, scope: Scope, library_id: str, source_id: str) -> Moved:
        """Remove a source with the documents that it brought.

        Raises:
            NotFound: there is no such source in the library.
        """
        with self._moving(scope, library_id) as move:
            source = repository.source(move.session, scope, library_id, source_id)
            for row in repository.documents(move.session, scope, library_id, source.id):
                self._delete_document(move, scope, row)
            repository.remove(move.session, scope, SourceRow, source_id)
        return move.moved

    def set_document(self, scope: Scope, document_id: str, **values: str | int) -> None:
        """Change what is noted of a document without a new version of its library."""
        with self.database.write() as session:
            _set_document(session, scope, document_id, values)

    def set_cursor(self, scope: Scope, source_id: str, cursor: Cursor) -> None:
        """Note where a source goes on, where no document changed."""
        with self.database.write() as session:
            _set_cursor(session, scope, source_id, cursor)

    def forget_library(self, library_id: str) -> None:
        """Free the vectors of a library that was deleted."""
        self._vectors.pop(library_id, None)

    def _delete_document(self, move: _Move, scope: Scope, row: DocumentRow) -> None:
        dead = repository.passages(move.session, scope, row.id)
        repository.bury(move.session, dead, {}, move.now)
        repository.remove(move.session, scope, DocumentRow, row.id)
        move.removed.extend(passage.id for passage in dead)
        move.documents.append((row.id, row.name, "deleted"))

    def _put_passages(
        self,
        move: _Move,
        scope: Scope,
        library_id: str,
        document_id: str,
        reading: Reading,
        vectors: Mapping[str, Vector],
    ) -> None:
        session = move.session
        before = repository.passages(session, scope, document_id)
        wanted = passage_rows(scope, library_id, document_id, reading.chunks)
        same = {row.passage_id: row for row in before}
        wanted_inputs = {row.passage_id: row.input_hash for row in wanted}
        # Under another heading a passage keeps its id, but not its vector and keywords.
        new = [
            row
            for row in wanted
            if row.passage_id not in same or same[row.passage_id].input_hash != row.input_hash
        ]
        old = [row for row in before if wanted_inputs.get(row.passage_id) != row.input_hash]
        at_hand = self._vectors_for(session, scope, new, vectors)
        dead = [row for row in old if row.passage_id not in wanted_inputs]
        repository.bury(session, dead, fates(before, wanted), move.now)
        repository.delete_passages(session, scope, [row.id for row in old])
        repository.unbury(session, scope, [row.passage_id for row in new])
        _shift(session, scope, same, wanted)
        self._insert_passages(move, scope, new, reading.name, at_hand)
        move.removed.extend(row.id for row in old)

    def _insert_passages(
        self,
        move: _Move,
        scope: Scope,
        rows: Sequence[PassageRow],
        name: str,
        vectors: Mapping[str, Vector],
    ) -> None:
        if not rows:
            return
        for row in rows:
            row.embedded_by = self.identity if row.input_hash in vectors else None
        move.lacking = sum(row.embedded_by is None for row in rows)
        move.session.add_all(rows)
        move.session.flush()
        move.added.extend(row.id for row in rows)
        repository.write_keywords(move.session, rows[0].library_id, name, rows)
        if self.identity is None:
            return
        used = {row.id: vectors[row.input_hash] for row in rows if row.input_hash in vectors}
        stored = {row.input_hash: vectors[row.input_hash] for row in rows if row.id in used}
        vector_rows.store_vectors(
            move.session, scope, self.identity, {key: v.tobytes() for key, v in stored.items()}
        )
        move.vectors.update(used)

    def _vectors_for(
        self,
        session: Session,
        scope: Scope,
        rows: Sequence[PassageRow],
        given: Mapping[str, Vector],
    ) -> dict[str, Vector]:
        if self.identity is None:
            return {}
        keys = [row.input_hash for row in rows if row.input_hash not in given]
        stored = vector_rows.known_vectors(session, scope, self.identity, keys)
        return {key: np.frombuffer(v, np.float32) for key, v in stored.items()} | dict(given)

    @contextmanager
    def _moving(self, scope: Scope, library_id: str) -> Iterator[_Move]:
        """A transaction that ends with the library's next version, in SQL and in memory."""
        vectors: LibraryVectors | None = None
        version = 0
        try:
            with self.database.write() as session:
                row = repository.library(session, scope, library_id)
                version = row.version + 1
                move = _Move(session, library_id, version, self.clock.now())
                yield move
                repository.set_version(session, scope, library_id, version, move.now)
                vectors = self._library_vectors(library_id, row.version)
                if vectors is not None:
                    vectors.stage(version, move.removed, move.vectors)
        except BaseException:
            if vectors is not None:
                vectors.discard(version)
            raise
        if vectors is not None:
            vectors.publish(version)

    def _library_vectors(self, library_id: str, version: int) -> LibraryVectors | None:
        if self.identity is None:
            return None
        return self._vectors.setdefault(library_id, LibraryVectors(version))


def _shift(
    session: Session, scope: Scope, same: Mapping[str, PassageRow], wanted: Sequence[PassageRow]
) -> None:
    """Note the new places of passages that an edit elsewhere moved."""
    moved = [
        {
            "moved_id": same[row.passage_id].id,
            "position": row.position,
            "start": row.start,
            "end": row.end,
        }
        for row in wanted
        if row.passage_id in same
        and same[row.passage_id].input_hash == row.input_hash
        and (same[row.passage_id].position, same[row.passage_id].start) != (row.position, row.start)
    ]
    if moved:
        statement = (
            update(PassageRow)
            .where(PassageRow.id == bindparam("moved_id"), in_scope(PassageRow, scope))
            .values(position=bindparam("position"), start=bindparam("start"), end=bindparam("end"))
        )
        session.connection().execute(statement, moved)


def _insert_document(
    move: _Move, scope: Scope, library_id: str, source_id: str | None, reading: Reading
) -> str:
    document_id = new_id("doc")
    move.session.add(
        DocumentRow(
            id=document_id,
            workspace_id=scope.workspace_id,
            library_id=library_id,
            source_id=source_id,
            version=1,
            created_at=move.now,
            updated_at=move.now,
            **_values(reading),
        )
    )
    move.session.flush()
    move.documents.append((document_id, reading.name, "added"))
    return document_id


def _update_document(
    move: _Move, scope: Scope, library_id: str, document_id: str, reading: Reading
) -> None:
    row = repository.document(move.session, scope, library_id, document_id)
    is_first = row.state == "pending" and not row.content_hash
    values = _values(reading) | {"version": row.version + 1 - is_first, "updated_at": move.now}
    _set_document(move.session, scope, document_id, values)
    move.documents.append((document_id, reading.name, "added" if is_first else "updated"))


def _values(reading: Reading) -> dict[str, Any]:
    return {
        "path": reading.path,
        "name": reading.name,
        "media_type": reading.media_type,
        "size": reading.size,
        "state": "indexed",
        "message": "",
        "signature": reading.signature,
        "content_hash": reading.content_hash,
        "text": reading.text,
        "url": reading.about.url,
        "attributes": dict(reading.about.metadata),
        "source_version": reading.about.source_version,
    }


def _set_cursor(
    session: Session, scope: Scope, source_id: str | None, cursor: Cursor | None
) -> None:
    if source_id is not None and cursor is not None:
        session.execute(
            update(SourceRow)
            .where(SourceRow.id == source_id, in_scope(SourceRow, scope))
            .values(cursor=cursor)
            .execution_options(synchronize_session=False)
        )


def _set_document(
    session: Session, scope: Scope, document_id: str, values: Mapping[str, object]
) -> None:
    session.execute(
        update(DocumentRow)
        .where(DocumentRow.id == document_id, in_scope(DocumentRow, scope))
        .values(**values)
        .execution_options(synchronize_session=False)
    )
