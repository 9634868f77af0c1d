"""What is known: live.db and the vectors in memory, moved from version to version together.

Every method that writes is one transaction. It stages the vectors of the next version before SQL
commits, so that a reader who sees version V in SQL finds V's vectors too. One thread writes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from ponant.kit import Clock
from ponant.live import faults, repository
from ponant.live.indexing import access, keywords, vector_rows
from ponant.live.indexing.changes import DocumentChange, Move, Moved, Reading, Vector
from ponant.live.indexing.document_rows import (
    fail_document,
    insert_document,
    insert_passages,
    set_cursor,
    set_document,
    shift_passages,
    update_document,
)
from ponant.live.indexing.pgvector import VectorTable
from ponant.live.indexing.vector_files import VectorFiles
from ponant.live.indexing.vectors import LibraryVectors, Rows, Segment, Snapshot
from ponant.live.reading.passages import Passage, fates, passages
from ponant.live.sources.port import Cursor
from ponant.live.tables import DocumentRow, SourceRow
from ponant.store import Database, Scope

__all__ = ["DocumentChange", "Index", "Moved", "Reading", "Vector"]


class Index:
    """All libraries of an installation.

    Args:
        folder: where files of vectors are kept, so that they need not be read from live.db; None
            keeps none.
        table: where vectors are compared in the database; None is in memory.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        folder: Path | None = None,
        table: VectorTable | None = None,
    ) -> None:
        self.database = database
        self.clock = clock
        self.files = None if folder is None else VectorFiles(folder)
        self.table = table
        self.identity: str | None = None
        self._vectors: dict[str, LibraryVectors] = {}

    def load_vectors(self, identity: str) -> None:
        """Have the stored vectors of this embedder compared; until then there are none."""
        loaded: dict[str, LibraryVectors] = {}
        with self.database.write() as session:
            places = [(one, Scope(workspace_id=two)) for one, two in repository.places(session)]
            newest = max((vector_rows.newest_row(session, one) for _, one in places), default=0)
            for library_id, scope in places:
                vector_rows.note_vectors(session, scope, library_id, identity)
                if self.table is None:
                    loaded[library_id] = self._load(session, scope, library_id, identity, newest)
                else:
                    self.table.fill(session, scope, library_id, identity)
        self._vectors, self.identity = loaded, identity

    def load_last(self) -> None:
        """As `load_vectors`, of the embedder whose vectors were kept last: most likely the next."""
        if self.table is not None:
            identity = self.table.last_identity()
        else:
            identity = None if self.files is None else self.files.last_identity()
        if identity is not None and self.identity is None:
            self.load_vectors(identity)

    def _load(
        self, session: Session, scope: Scope, library_id: str, identity: str, newest: int
    ) -> LibraryVectors:
        """A library's vectors from its file, and from live.db what the file lacks."""
        version = repository.reached(session, scope, library_id)
        vectors = LibraryVectors(version - 1)
        there = vector_rows.embedded_rows(session, scope, library_id, identity)
        inputs = {row: key for row, (_, key) in there.items()}
        kept = None
        if self.files is not None:
            kept = self.files.of_now(library_id, identity, inputs, newest)
        if kept is not None:
            vectors.attach(kept, {row: document for row, (document, _) in there.items()})
            known = vectors.latest.ids
            there = {row: found for row, found in there.items() if row not in known}
        rows = vector_rows.vectors_of(session, scope, identity, there)
        vectors.stage(version, (), rows, access.restricted(session, scope, library_id))
        vectors.publish(version)
        return vectors

    def keep_vectors(self, library_id: str) -> Segment | None:
        """Write a library's vectors into a file, where enough of them are in none.

        Those that the database compares get an index there.
        """
        vectors, identity = self._vectors.get(library_id), self.identity
        if self.table is not None and identity is not None:
            self.table.keep(library_id, identity)
        if vectors is None or identity is None or self.files is None:
            return None
        if not vectors.needs_a_file():
            return None
        rows = vectors.latest.lasting
        with self.database.read() as session:
            scope = Scope(workspace_id=dict(repository.places(session)).get(library_id))
            there = vector_rows.embedded_rows(session, scope, library_id, identity)
        inputs = {row: key for row, (_, key) in there.items()}
        return self.files.write(library_id, identity, rows.ids, rows.vectors, inputs)

    def attach_vectors(self, library_id: str, identity: str, kept: Segment) -> None:
        """Go on with a file that was written; on the thread that writes."""
        vectors = self._vectors.get(library_id)
        if vectors is not None and identity == self.identity:
            vectors.attach(kept)

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
            The document's id, and the version that shows it; the disk has it once
            `Database.settle` was called.

        Raises:
            NotFound: the library or the document is gone.
        """
        with self._moving(scope, library_id, soon=True) as move:
            if document_id is None:
                document_id = insert_document(move, scope, source_id, reading)
            else:
                update_document(move, scope, document_id, reading)
            given = vectors if identity == self.identity else {}
            self._put_passages(move, scope, document_id, reading, given)
            set_cursor(move.session, scope, source_id, cursor)
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
                document_id = insert_document(move, scope, source_id, reading)
            fail_document(move, scope, document_id, reading, message)
            set_cursor(move.session, scope, source_id, cursor)
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
            set_cursor(move.session, scope, source_id, cursor)
        return move.moved

    def move_document(
        self, scope: Scope, library_id: str, document_id: str, path: str, name: str, signature: str
    ) -> Moved:
        """Note that a file has a new place; its passages stay what they are."""
        with self._moving(scope, library_id) as move:
            row = repository.document(move.session, scope, library_id, document_id)
            values = {"path": path, "name": name, "signature": signature, "updated_at": move.now}
            set_document(move.session, scope, document_id, values)
            rows = repository.passages(move.session, scope, document_id)
            keywords.drop(move.session, [one.id for one in rows])
            keywords.write(move.session, scope, library_id, name, row.language, rows)
            move.tell(document_id, name, "updated", row.access_id)
        return move.moved

    def put_vectors(
        self, scope: Scope, library_id: str, identity: str, rows: Mapping[int, tuple[str, Vector]]
    ) -> Moved:
        """Add vectors that were not at hand when their passages were stored.

        Args:
            rows: by passage row id, what was embedded (`input_hash`) and its vector. Passages
                that went in the meantime are left out.

        Returns:
            The version that has them; the disk has it once `Database.settle` was called.
        """
        with self._moving(scope, library_id, soon=True) as move:
            there = repository.passages_at(move.session, scope, library_id, list(rows))
            kept = [row for row in there if rows[row.id][0] == row.input_hash]
            by_hash = {row.input_hash: rows[row.id][1].tobytes() for row in kept}
            vector_rows.store_vectors(move.session, scope, identity, by_hash)
            vector_rows.mark_embedded(move.session, scope, [row.id for row in kept], identity)
            if identity == self.identity:
                move.vectors |= {row.id: (row.document_id, rows[row.id][1]) for row in kept}
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
            set_document(session, scope, document_id, values)

    def set_cursor(self, scope: Scope, source_id: str, cursor: Cursor) -> None:
        """Note where a source goes on, where no document changed."""
        with self.database.write() as session:
            set_cursor(session, scope, source_id, cursor)

    def set_access(
        self,
        scope: Scope,
        library_id: str,
        document_id: str,
        marks: Sequence[str] | None,
        *,
        by_hand: bool = True,
    ) -> Moved:
        """Say who may read a document, whether or not the caller may.

        Args:
            marks: see `Scope.marks`; None is everybody who may read the library.
            by_hand: what its source says no longer counts.

        Raises:
            NotFound: there is no such document in the library.
        """
        with self._moving(scope, library_id) as move:
            row = repository.document(move.session, scope, library_id, document_id)
            list_id = access.access_id(move.session, scope, marks)
            values = {"access_id": list_id, "access_by_hand": by_hand, "updated_at": move.now}
            set_document(move.session, scope, document_id, values)
            move.access[document_id] = list_id or 0
            move.withdrawn.append(document_id)
            move.tell(document_id, row.name, "updated", list_id or row.access_id)
        return move.moved

    def forget_library(self, library_id: str) -> None:
        """Free the vectors of a library that was deleted."""
        self._vectors.pop(library_id, None)
        if self.files is not None:
            self.files.forget(library_id)

    def _delete_document(self, move: Move, scope: Scope, row: DocumentRow) -> None:
        dead = repository.outlines(move.session, scope, row.id)
        repository.bury(move.session, dead, {}, move.now)
        repository.remove(move.session, scope, DocumentRow, row.id)
        move.removed.extend(passage.id for passage in dead)
        move.withdrawn.append(row.id)
        move.tell(row.id, row.name, "deleted", row.access_id)

    def _put_passages(
        self,
        move: Move,
        scope: Scope,
        document_id: str,
        reading: Reading,
        vectors: Mapping[str, Vector],
    ) -> None:
        session = move.session
        before = repository.outlines(session, scope, document_id)
        wanted = passages(document_id, reading.chunks)
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
        shift_passages(session, scope, same, wanted)
        self._insert_passages(move, scope, document_id, new, reading, at_hand)
        move.removed.extend(row.id for row in old)
        move.withdrawn.extend(row.passage_id for row in dead)

    def _insert_passages(
        self,
        move: Move,
        scope: Scope,
        document_id: str,
        new: Sequence[Passage],
        reading: Reading,
        vectors: Mapping[str, Vector],
    ) -> None:
        if not new:
            return
        embedded = {} if self.identity is None else dict.fromkeys(vectors, self.identity)
        rows = insert_passages(move, scope, document_id, new, embedded)
        move.lacking = sum(row.embedded_by is None for row in rows)
        move.added.extend(row.id for row in rows)
        name, language = reading.name, reading.language
        keywords.write(move.session, scope, move.library_id, name, language, rows)
        if self.identity is None:
            return
        there = [row for row in rows if row.input_hash in vectors]
        stored = {row.input_hash: vectors[row.input_hash].tobytes() for row in there}
        vector_rows.store_vectors(move.session, scope, self.identity, stored)
        move.vectors |= {row.id: (document_id, vectors[row.input_hash]) for row in there}

    def _vectors_for(
        self,
        session: Session,
        scope: Scope,
        rows: Sequence[Passage],
        given: Mapping[str, Vector],
    ) -> dict[str, Vector]:
        if self.identity is None:
            return {}
        keys = [row.input_hash for row in rows if row.input_hash not in given]
        stored = vector_rows.known_vectors(session, scope, self.identity, keys)
        return {key: np.frombuffer(v, np.float32) for key, v in stored.items()} | dict(given)

    @contextmanager
    def _moving(self, scope: Scope, library_id: str, *, soon: bool = False) -> Iterator[Move]:
        """A transaction that ends with the library's next version, in SQL and in memory.

        Args:
            soon: whether the disk may have it a little later.
        """
        vectors: LibraryVectors | None = None
        version = 0
        try:
            with self.database.write(soon=soon) as session:
                before = repository.reached(session, scope, library_id)
                version = before + 1
                move = Move(session, library_id, version, self.clock.now())
                yield move
                if self.table is not None and self.identity is not None:
                    self.table.store(session, library_id, self.identity, move.vectors)
                faults.point("changed")
                more = len(move.added) - len(move.removed)
                repository.set_version(session, scope, library_id, version, move.now, more)
                vectors = self._library_vectors(library_id, before)
                if vectors is not None:
                    vectors.stage(version, move.removed, Rows.of(move.vectors), move.access)
                faults.point("staged")
        except BaseException:
            if vectors is not None:
                vectors.discard(version)
            raise
        faults.point("committed")
        if vectors is not None:
            vectors.publish(version)

    def _library_vectors(self, library_id: str, version: int) -> LibraryVectors | None:
        if self.identity is None or self.table is not None:
            return None
        return self._vectors.setdefault(library_id, LibraryVectors(version))
