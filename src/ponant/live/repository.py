"""Reads and writes rows of live.db; every statement stays inside the scope it is given."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Executable, Row, bindparam, delete, distinct, func, select, update
from sqlalchemy.orm import Session, undefer

from ponant.kit.errors import NotFound
from ponant.live.tables import (
    DocumentRow,
    LibraryRow,
    PassageRow,
    PlaceRow,
    RootRow,
    SourceRow,
    TombstoneRow,
)
from ponant.store import Scope, ScopeKind, in_scope, insert_into, scoped

_Item = TypeVar("_Item")

# Statements of every change and question are built once: building takes longer than running them.
_LIBRARY = select(LibraryRow).where(LibraryRow.id == bindparam("library_id"), scoped(LibraryRow))
_REACHED = _LIBRARY.with_only_columns(LibraryRow.version)
_STATE = select(LibraryRow.id, LibraryRow.version, LibraryRow.as_of, LibraryRow.passages).where(
    LibraryRow.id == bindparam("library_id"), scoped(LibraryRow)
)
_VERSION = (
    update(LibraryRow)
    .where(LibraryRow.id == bindparam("library_id"), scoped(LibraryRow))
    .values(
        {
            LibraryRow.version: bindparam("reached"),
            LibraryRow.as_of: bindparam("now"),
            LibraryRow.updated_at: bindparam("now"),
            LibraryRow.passages: LibraryRow.passages + bindparam("more"),
        }
    )
)
_DOCUMENT = select(DocumentRow).where(
    DocumentRow.id == bindparam("document_id"),
    DocumentRow.library_id == bindparam("library_id"),
    scoped(DocumentRow),
)
_STANDING = _DOCUMENT.with_only_columns(
    DocumentRow.state,
    DocumentRow.content_hash,
    DocumentRow.version,
    DocumentRow.access_id,
    DocumentRow.access_by_hand,
)
_OUTLINES = (
    select(
        PassageRow.id,
        PassageRow.passage_id,
        PassageRow.hash,
        PassageRow.input_hash,
        PassageRow.position,
        PassageRow.start,
        PassageRow.workspace_id,
        PassageRow.library_id,
        PassageRow.document_id,
    )
    .where(PassageRow.document_id == bindparam("document_id"), scoped(PassageRow))
    .order_by(PassageRow.position)
)
_UNBURY = delete(TombstoneRow).where(
    TombstoneRow.passage_id.in_(bindparam("some", expanding=True)), scoped(TombstoneRow)
)
_DELETE_PASSAGES = delete(PassageRow).where(
    PassageRow.id.in_(bindparam("some", expanding=True)), scoped(PassageRow)
)


class DocumentStanding(NamedTuple):
    """What a document's next version depends on."""

    state: str
    content_hash: str
    version: int
    access_id: int | None
    access_by_hand: bool


class LibraryState(NamedTuple):
    """What a search needs to know of a library."""

    id: str
    version: int
    as_of: datetime
    passages: int


class Outline(NamedTuple):
    """A stored passage without its text."""

    id: int
    passage_id: str
    hash: str
    input_hash: str
    position: int
    start: int
    workspace_id: str
    library_id: str
    document_id: str


def places(session: Session) -> list[tuple[str, str]]:
    """Every library with its workspace: (library id, workspace id)."""
    rows = session.execute(select(PlaceRow.library_id, PlaceRow.workspace_id))
    return [(library_id, workspace_id) for library_id, workspace_id in rows]


def roots(session: Session) -> list[str]:
    """The folders that the command line allowed."""
    return list(session.scalars(select(RootRow.path).order_by(RootRow.path)))


def allow_root(session: Session, path: str, now: datetime) -> bool:
    """Allow a folder; False where it was allowed already."""
    if session.get(RootRow, path) is not None:
        return False
    session.add(RootRow(path=path, added_at=now))
    return True


def libraries(session: Session, scope: Scope) -> list[LibraryRow]:
    """A workspace's libraries, the oldest first."""
    statement = select(LibraryRow).where(in_scope(LibraryRow, scope)).order_by(LibraryRow.id)
    return list(session.scalars(statement))


def library(session: Session, scope: Scope, library_id: str) -> LibraryRow:
    """One library.

    Raises:
        NotFound: there is none by that id in this workspace.
    """
    asked = scope.parameters(ScopeKind.WORKSPACE) | {"library_id": library_id}
    if (row := session.scalar(_LIBRARY, asked)) is None:
        raise _no_library(library_id)
    return row


def reached(session: Session, scope: Scope, library_id: str) -> int:
    """The version of a library.

    Raises:
        NotFound: there is none by that id in this workspace.
    """
    asked = scope.parameters(ScopeKind.WORKSPACE) | {"library_id": library_id}
    version: int | None = session.connection().scalar(_REACHED, asked)
    if version is None:
        raise _no_library(library_id)
    return version


def library_state(session: Session, scope: Scope, library_id: str) -> LibraryState:
    """What a search needs to know of a library.

    Raises:
        NotFound: there is none by that id in this workspace.
    """
    asked = scope.parameters(ScopeKind.WORKSPACE) | {"library_id": library_id}
    if (row := session.connection().execute(_STATE, asked).first()) is None:
        raise _no_library(library_id)
    return LibraryState(*row)


def _no_library(library_id: str) -> NotFound:
    return NotFound(f"There is no library {library_id}. List the libraries to see which exist.")


def set_version(
    session: Session, scope: Scope, library_id: str, version: int, now: datetime, more: int
) -> None:
    """Note that a library reached a version, with so many more passages."""
    change = {"library_id": library_id, "reached": version, "now": now, "more": more}
    session.connection().execute(_VERSION, scope.parameters(ScopeKind.WORKSPACE) | change)


def sizes(session: Session, scope: Scope) -> dict[str, tuple[int, int]]:
    """Documents and bytes of each library."""
    statement = (
        select(DocumentRow.library_id, func.count(), func.sum(DocumentRow.size))
        .where(in_scope(DocumentRow, scope))
        .group_by(DocumentRow.library_id)
    )
    return {
        library_id: (count, int(size)) for library_id, count, size in session.execute(statement)
    }


def sources(session: Session, scope: Scope, library_id: str) -> list[SourceRow]:
    """A library's sources, the oldest first."""
    statement = (
        select(SourceRow)
        .where(SourceRow.library_id == library_id, in_scope(SourceRow, scope))
        .order_by(SourceRow.id)
    )
    return list(session.scalars(statement))


def source(session: Session, scope: Scope, library_id: str, source_id: str) -> SourceRow:
    """One source of a library.

    Raises:
        NotFound: there is none by that id.
    """
    for row in sources(session, scope, library_id):
        if row.id == source_id:
            return row
    raise NotFound(f"There is no source {source_id} in this library.")


def half_found(session: Session, scope: Scope, library_id: str) -> dict[str, int]:
    """How many documents of each source are not yet found by meaning in all their passages."""
    statement = (
        select(DocumentRow.source_id, func.count(distinct(DocumentRow.id)))
        .join(PassageRow, PassageRow.document_id == DocumentRow.id)
        .where(
            PassageRow.library_id == library_id,
            PassageRow.embedded_by.is_(None),
            DocumentRow.source_id.is_not(None),
            in_scope(PassageRow, scope),
            in_scope(DocumentRow, scope),
        )
        .group_by(DocumentRow.source_id)
    )
    return {str(source_id): count for source_id, count in session.execute(statement)}


def secrets(session: Session, scope: Scope, library_id: str, source_id: str) -> dict[str, str]:
    """What a source signs in with; it is loaded for nothing else."""
    statement = select(SourceRow.secrets).where(
        SourceRow.id == source_id, SourceRow.library_id == library_id, in_scope(SourceRow, scope)
    )
    return dict(session.scalar(statement) or {})


def documents(
    session: Session, scope: Scope, library_id: str, source_id: str | None = None
) -> list[DocumentRow]:
    """A library's documents by path; those of one source where it is named."""
    statement = select(DocumentRow).where(
        DocumentRow.library_id == library_id, in_scope(DocumentRow, scope)
    )
    if source_id is not None:
        statement = statement.where(DocumentRow.source_id == source_id)
    return list(session.scalars(statement.order_by(DocumentRow.path, DocumentRow.id)))


def brought(
    session: Session, scope: Scope, library_id: str, source_id: str | None
) -> Sequence[Row[str, str, str, str, str, int | None, str | None, dict[str, Any]]]:
    """What a source brought: id, path, signature, hash, state, version, URL and metadata."""
    statement = select(
        DocumentRow.id,
        DocumentRow.path,
        DocumentRow.signature,
        DocumentRow.content_hash,
        DocumentRow.state,
        DocumentRow.source_version,
        DocumentRow.url,
        DocumentRow.attributes,
    ).where(
        DocumentRow.library_id == library_id,
        DocumentRow.source_id == source_id,
        in_scope(DocumentRow, scope),
    )
    return session.execute(statement).all()


def uploads(session: Session, scope: Scope, library_id: str) -> list[DocumentRow]:
    """The documents of a library that no source brought."""
    rows = documents(session, scope, library_id)
    return [row for row in rows if row.source_id is None]


def document(
    session: Session, scope: Scope, library_id: str, document_id: str, *, whole: bool = False
) -> DocumentRow:
    """One document, with its text where that is asked for.

    Raises:
        NotFound: there is none by that id in this library.
    """
    statement = _DOCUMENT.options(undefer(DocumentRow.text)) if whole else _DOCUMENT
    named = {"library_id": library_id, "document_id": document_id}
    if (row := session.scalar(statement, scope.parameters(ScopeKind.WORKSPACE) | named)) is None:
        raise _no_document(document_id)
    return row


def standing(session: Session, scope: Scope, library_id: str, document_id: str) -> DocumentStanding:
    """What the next version of a document depends on.

    Raises:
        NotFound: there is none by that id in this library.
    """
    named = {"library_id": library_id, "document_id": document_id}
    asked = scope.parameters(ScopeKind.WORKSPACE) | named
    if (row := session.connection().execute(_STANDING, asked).first()) is None:
        raise _no_document(document_id)
    return DocumentStanding(*row)


def _no_document(document_id: str) -> NotFound:
    return NotFound(f"There is no document {document_id} in this library; it may be deleted.")


def passages(session: Session, scope: Scope, document_id: str) -> list[PassageRow]:
    """A document's passages in the order of its text."""
    statement = (
        select(PassageRow)
        .where(PassageRow.document_id == document_id, in_scope(PassageRow, scope))
        .order_by(PassageRow.position)
    )
    return list(session.scalars(statement))


def outlines(session: Session, scope: Scope, document_id: str) -> list[Outline]:
    """A document's passages in the order of its text, without it."""
    asked = scope.parameters(ScopeKind.WORKSPACE) | {"document_id": document_id}
    return [Outline(*row) for row in session.connection().execute(_OUTLINES, asked)]


def passage(session: Session, scope: Scope, passage_id: str) -> int | None:
    """The row of the passage of that id, if it is there now."""
    statement = select(PassageRow.id).where(
        PassageRow.passage_id == passage_id, in_scope(PassageRow, scope)
    )
    return session.scalar(statement)


def count_passages(session: Session, scope: Scope) -> int:
    """How many passages a workspace has."""
    statement = select(func.count()).select_from(PassageRow).where(in_scope(PassageRow, scope))
    return session.scalar(statement) or 0


def passages_at(
    session: Session, scope: Scope, library_id: str, rows: Sequence[int]
) -> Sequence[Row[int, str, str]]:
    """Row, document and input hash of a library's passages, as far as they are there."""
    statement = select(PassageRow.id, PassageRow.document_id, PassageRow.input_hash).where(
        PassageRow.id.in_(rows), PassageRow.library_id == library_id, in_scope(PassageRow, scope)
    )
    return session.connection().execute(statement).all()


def tombstones(
    session: Session, scope: Scope, passage_ids: Sequence[str]
) -> dict[str, tuple[str, datetime]]:
    """What became of passages that are no longer there: state and time."""
    found: dict[str, tuple[str, datetime]] = {}
    for some in batches(passage_ids):
        statement = select(TombstoneRow).where(
            TombstoneRow.passage_id.in_(some), in_scope(TombstoneRow, scope)
        )
        found.update((row.passage_id, (row.state, row.at)) for row in session.scalars(statement))
    return found


def bury(
    session: Session, dead: Sequence[Outline], states: Mapping[str, str], now: datetime
) -> None:
    """Leave word of what became of passages, without their text; ``gone`` where nothing is said."""
    rows = [
        {
            "passage_id": row.passage_id,
            "workspace_id": row.workspace_id,
            "library_id": row.library_id,
            "document_id": row.document_id,
            "state": states.get(row.passage_id, "gone"),
            "at": now,
        }
        for row in dead
    ]
    if not rows:
        return
    session.connection().execute(_burying(session.get_bind().dialect.name), rows)


@cache
def _burying(dialect: str) -> Executable:
    statement = insert_into(dialect, TombstoneRow)
    return statement.on_conflict_do_update(
        index_elements=["passage_id"],
        set_={"state": statement.excluded.state, "at": statement.excluded.at},
    )


def forget_tombstones(session: Session, scope: Scope, before: datetime) -> None:
    """Forget what became of passages long ago; they are gone, which needs no word."""
    session.execute(
        delete(TombstoneRow).where(TombstoneRow.at < before, in_scope(TombstoneRow, scope))
    )


def unbury(session: Session, scope: Scope, passage_ids: Sequence[str]) -> None:
    """Forget the tombstones of passages that are back."""
    for some in batches(passage_ids):
        asked = scope.parameters(ScopeKind.WORKSPACE)
        session.connection().execute(_UNBURY, {**asked, "some": some})


def delete_passages(session: Session, scope: Scope, rows: Sequence[int]) -> None:
    """Delete passages by row."""
    for some in batches(rows):
        asked = scope.parameters(ScopeKind.WORKSPACE)
        session.connection().execute(_DELETE_PASSAGES, {**asked, "some": some})


def batches(items: Sequence[_Item], size: int = 500) -> list[Sequence[_Item]]:
    """Runs of at most ``size``; by default short enough for one statement's parameters."""
    return [items[begin : begin + size] for begin in range(0, len(items), size)]


def remove(session: Session, scope: Scope, table: Any, row_id: str) -> None:
    """Delete the row of ``table`` by its ``id``; what hangs on it goes too."""
    session.execute(delete(table).where(table.id == row_id, in_scope(table, scope)))
