"""Reads which access lists stand over documents."""

from collections.abc import Sequence

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from ponant.live.repository import batches
from ponant.live.tables import AccessRow, DocumentRow
from ponant.store import Scope, in_scope


def access_marks(
    session: Session, scope: Scope, document_ids: Sequence[str]
) -> dict[str, tuple[str, ...] | None]:
    """The list over each document that is there; None where everybody may read it."""
    found: dict[str, tuple[str, ...] | None] = {}
    for some in batches(document_ids):
        statement = (
            select(DocumentRow.id, DocumentRow.access_id, AccessRow.marks)
            .outerjoin(
                AccessRow, and_(AccessRow.id == DocumentRow.access_id, in_scope(AccessRow, scope))
            )
            .where(DocumentRow.id.in_(some), in_scope(DocumentRow, scope))
        )
        for document_id, access_id, marks in session.execute(statement):
            # A list that is not there lets nobody in.
            found[document_id] = None if access_id is None else tuple(marks or ())
    return found


def marks_of_paths(
    session: Session, scope: Scope, library_id: str, paths: Sequence[str]
) -> dict[str, tuple[str, ...] | None]:
    """The list over each document of a library that is there under one of the paths."""
    ids: dict[str, str] = {}
    for some in batches(paths):
        statement = select(DocumentRow.id, DocumentRow.path).where(
            DocumentRow.path.in_(some),
            DocumentRow.library_id == library_id,
            in_scope(DocumentRow, scope),
        )
        ids.update((document_id, path) for document_id, path in session.execute(statement))
    lists = access_marks(session, scope, list(ids))
    return {ids[document_id]: marks for document_id, marks in lists.items()}
