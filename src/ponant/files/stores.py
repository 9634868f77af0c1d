"""What vector stores keep beside the libraries that they are: details, files and batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select

from ponant.files.tables import AttachedRow, BatchRow, ShelfRow
from ponant.kit import Clock, new_id
from ponant.kit.errors import NotFound
from ponant.store import Database, Scope, in_scope


@dataclass(frozen=True, slots=True)
class Attached:
    """A file in a vector store, and the document that it is there."""

    library_id: str
    file_id: str
    document_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Shelf:
    """What a vector store has that a library has not; ``details`` as the client gave them."""

    library_id: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """Files that were put into a vector store together."""

    id: str
    library_id: str
    file_ids: tuple[str, ...]
    created_at: datetime


class Shelves:
    """Reads and writes these; every method is one transaction. Call it in a thread."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def details(self, scope: Scope) -> dict[str, dict[str, Any]]:
        """Details of the workspace's vector stores by library."""
        with self._database.read() as session:
            rows = session.scalars(select(ShelfRow).where(in_scope(ShelfRow, scope)))
            return {row.library_id: row.details for row in rows}

    def set_details(self, scope: Scope, library_id: str, details: dict[str, Any]) -> None:
        """Keep what a client gave a vector store."""
        with self._database.write() as session:
            session.execute(
                delete(ShelfRow).where(ShelfRow.library_id == library_id, in_scope(ShelfRow, scope))
            )
            session.add(
                ShelfRow(
                    library_id=library_id,
                    workspace_id=scope.workspace_id,
                    details=details,
                    created_at=self._clock.now(),
                )
            )

    def forget(self, scope: Scope, library_id: str) -> None:
        """Remove all that is kept of a vector store."""
        with self._database.write() as session:
            for table in (ShelfRow, AttachedRow, BatchRow):
                session.execute(
                    delete(table).where(table.library_id == library_id, in_scope(table, scope))
                )

    def attach(self, scope: Scope, library_id: str, file_id: str, document_id: str) -> Attached:
        """Note which document a file is in a vector store."""
        made = Attached(library_id, file_id, document_id, self._clock.now())
        with self._database.write() as session:
            session.execute(
                delete(AttachedRow).where(
                    AttachedRow.library_id == library_id,
                    AttachedRow.file_id == file_id,
                    in_scope(AttachedRow, scope),
                )
            )
            session.add(
                AttachedRow(
                    library_id=library_id,
                    file_id=file_id,
                    workspace_id=scope.workspace_id,
                    document_id=document_id,
                    created_at=made.created_at,
                )
            )
        return made

    def detach(self, scope: Scope, library_id: str, file_id: str) -> None:
        """Forget that a file is in a vector store."""
        with self._database.write() as session:
            session.execute(
                delete(AttachedRow).where(
                    AttachedRow.library_id == library_id,
                    AttachedRow.file_id == file_id,
                    in_scope(AttachedRow, scope),
                )
            )

    def attached(
        self, scope: Scope, library_id: str | None = None, file_id: str | None = None
    ) -> list[Attached]:
        """The files of a vector store, or the vector stores of a file."""
        statement = select(AttachedRow).where(in_scope(AttachedRow, scope))
        if library_id is not None:
            statement = statement.where(AttachedRow.library_id == library_id)
        if file_id is not None:
            statement = statement.where(AttachedRow.file_id == file_id)
        with self._database.read() as session:
            return [
                Attached(row.library_id, row.file_id, row.document_id, row.created_at)
                for row in session.scalars(statement)
            ]

    def add_batch(self, scope: Scope, library_id: str, file_ids: Sequence[str]) -> Batch:
        """Note that files were put into a vector store together."""
        made = Batch(new_id("vsfb"), library_id, tuple(file_ids), self._clock.now())
        with self._database.write() as session:
            session.add(
                BatchRow(
                    id=made.id,
                    workspace_id=scope.workspace_id,
                    library_id=library_id,
                    file_ids=list(file_ids),
                    created_at=made.created_at,
                )
            )
        return made

    def batch(self, scope: Scope, library_id: str, batch_id: str) -> Batch:
        """One batch; NotFound where it is not the vector store's."""
        statement = select(BatchRow).where(
            BatchRow.id == batch_id, BatchRow.library_id == library_id, in_scope(BatchRow, scope)
        )
        with self._database.read() as session:
            row = session.scalar(statement)
        if row is None:
            raise NotFound(f"There is no batch {batch_id} in this vector store.")
        return Batch(row.id, row.library_id, tuple(row.file_ids), row.created_at)
