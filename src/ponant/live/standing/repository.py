"""Reads and writes standing queries; every statement stays inside the scope it is given."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ponant.live.repository import batches
from ponant.live.standing.tables import MatchedRow, StandingRow
from ponant.live.tables import DocumentRow, PassageRow, PlaceRow
from ponant.store import Scope, in_scope, insert


def workspaces(session: Session) -> set[str]:
    """Every workspace with a library."""
    return set(session.scalars(select(PlaceRow.workspace_id)))


def queries(session: Session, scope: Scope) -> list[StandingRow]:
    """All that a workspace keeps."""
    return list(session.scalars(select(StandingRow).where(in_scope(StandingRow, scope))))


def put(session: Session, scope: Scope, row: StandingRow) -> None:
    """Keep a query, in the place of an older one of that id."""
    remove(session, scope, row.id)
    session.add(row)


def remove(session: Session, scope: Scope, query_id: str) -> None:
    session.execute(
        delete(StandingRow).where(StandingRow.id == query_id, in_scope(StandingRow, scope))
    )


def note(session: Session, scope: Scope, query_id: str, state: bytes, *, moved: bool) -> None:
    """Store what a new search of a query says."""
    session.execute(
        update(StandingRow)
        .where(StandingRow.id == query_id, in_scope(StandingRow, scope))
        .values(state=state, moved=moved)
    )


def matched(session: Session, scope: Scope) -> dict[str, int]:
    """Up to which version each library was matched."""
    rows = session.execute(
        select(MatchedRow.library_id, MatchedRow.version).where(in_scope(MatchedRow, scope))
    )
    return {row.library_id: row.version for row in rows}


def note_matched(session: Session, scope: Scope, versions: Mapping[str, int]) -> None:
    """Remember up to which versions libraries were matched."""
    for library_id, version in versions.items():
        values = {"library_id": library_id, "version": version}
        statement = insert(session, MatchedRow).values(workspace_id=scope.workspace_id, **values)
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["library_id"], set_={"version": version}
            )
        )


def passages(session: Session, scope: Scope, rows: Sequence[int]) -> list[PassageRow]:
    """Passages by row id; those that went meanwhile are left out."""
    found: list[PassageRow] = []
    for some in batches(rows):
        statement = select(PassageRow).where(PassageRow.id.in_(some), in_scope(PassageRow, scope))
        found.extend(session.scalars(statement))
    return found


def there(session: Session, scope: Scope, rows: Sequence[int]) -> set[int]:
    """Those of some rows that are passages still."""
    found: set[int] = set()
    for some in batches(rows):
        statement = select(PassageRow.id).where(
            PassageRow.id.in_(some), in_scope(PassageRow, scope)
        )
        found.update(session.scalars(statement))
    return found


def restricted(session: Session, scope: Scope, documents: Collection[str]) -> set[str]:
    """Those of some documents that not everybody may read."""
    found: set[str] = set()
    for some in batches(sorted(documents)):
        statement = select(DocumentRow.id).where(
            DocumentRow.id.in_(some),
            DocumentRow.access_id.is_not(None),
            in_scope(DocumentRow, scope),
        )
        found.update(session.scalars(statement))
    return found


def passages_named(
    session: Session, scope: Scope, passage_ids: Sequence[str]
) -> dict[str, PassageRow]:
    """Passages by their public id."""
    statement = select(PassageRow).where(
        PassageRow.passage_id.in_(passage_ids), in_scope(PassageRow, scope)
    )
    return {row.passage_id: row for row in session.scalars(statement)}


def rows_of(session: Session, scope: Scope, documents: Sequence[str]) -> list[int]:
    """The rows of whole documents."""
    found: list[int] = []
    for some in batches(documents):
        statement = select(PassageRow.id).where(
            PassageRow.document_id.in_(some), in_scope(PassageRow, scope)
        )
        found.extend(session.scalars(statement))
    return found
