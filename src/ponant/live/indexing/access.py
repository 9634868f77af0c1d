"""Who may read which documents: access lists in live.db, and the condition that keeps to them.

A list is a set of marks (see `Scope.marks`); documents with the same marks stand under one row.
What a caller may not read is, for every question that a caller can ask, as if it were not there.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Executable, Row, and_, bindparam, func, or_, select
from sqlalchemy.orm import Session, undefer

from ponant.kit.errors import NotFound
from ponant.live.access import canonical
from ponant.live.reading.passages import fingerprint
from ponant.live.repository import batches
from ponant.live.tables import AccessRow, DocumentRow, MarkRow, PassageRow
from ponant.store import Scope, ScopeKind, in_scope, insert, scoped


def access_id(session: Session, scope: Scope, marks: Sequence[str] | None) -> int | None:
    """The row of the list of these marks, made where it is new.

    Args:
        marks: None is everybody who may read the library; none at all is nobody.
    """
    if marks is None:
        return None
    ordered = sorted({canonical(mark) for mark in marks})
    name = fingerprint("\n".join(ordered))
    named = select(AccessRow.id).where(AccessRow.name == name, in_scope(AccessRow, scope))
    if (found := session.scalar(named)) is not None:
        return found
    row = AccessRow(workspace_id=scope.workspace_id, name=name, marks=ordered)
    session.add(row)
    session.flush()
    if ordered:
        workspace_id = scope.workspace_id
        session.execute(
            insert(session, MarkRow),
            [{"workspace_id": workspace_id, "mark": mark, "access_id": row.id} for mark in ordered],
        )
    return row.id


def readable(scope: Scope) -> ColumnElement[bool]:
    """The condition on documents that keeps a statement to what the caller may read."""
    if not scope.marks:
        return DocumentRow.access_id.is_(None)
    lists = select(MarkRow.access_id).where(MarkRow.mark.in_(scope.marks), in_scope(MarkRow, scope))
    return or_(DocumentRow.access_id.is_(None), DocumentRow.access_id.in_(lists))


def readable_by(*, marked: bool) -> ColumnElement[bool]:
    """As `readable`, for a statement that is built once: it runs with `asked`.

    Args:
        marked: whether the caller has marks.
    """
    if not marked:
        return DocumentRow.access_id.is_(None)
    lists = select(MarkRow.access_id).where(
        MarkRow.mark.in_(bindparam("marks", expanding=True)), scoped(MarkRow)
    )
    return or_(DocumentRow.access_id.is_(None), DocumentRow.access_id.in_(lists))


def within_library(*, marked: bool) -> tuple[ColumnElement[bool], ...]:
    """What the caller may read of a library's passages and their documents, both joined.

    For a statement that is built once: it runs with ``asked(scope, library_id=…)``.
    """
    return (
        PassageRow.library_id == bindparam("library_id"),
        scoped(PassageRow),
        scoped(DocumentRow),
        readable_by(marked=marked),
    )


def asked(scope: Scope, **values: object) -> dict[str, object]:
    """What a statement runs with that `readable_by` is part of."""
    marks = {"marks": scope.marks} if scope.marks else {}
    return scope.parameters(ScopeKind.WORKSPACE) | marks | values


def lists_with(session: Session, scope: Scope) -> list[int]:
    """The access lists that the caller stands on."""
    if not scope.marks:
        return []
    statement = select(MarkRow.access_id).where(
        MarkRow.mark.in_(scope.marks), in_scope(MarkRow, scope)
    )
    return list(session.scalars(statement))


def documents(
    session: Session, scope: Scope, library_id: str
) -> list[tuple[DocumentRow, AccessRow | None]]:
    """What the caller may read of a library, by path, each with its access list."""
    statement = (
        select(DocumentRow, AccessRow)
        .outerjoin(AccessRow, _list_of_document(scope))
        .where(DocumentRow.library_id == library_id, in_scope(DocumentRow, scope), readable(scope))
        .order_by(DocumentRow.path, DocumentRow.id)
    )
    return [(row, access) for row, access in session.execute(statement)]


def document(
    session: Session, scope: Scope, library_id: str, document_id: str, *, whole: bool = False
) -> tuple[DocumentRow, AccessRow | None]:
    """One document that the caller may read, with its text where that is asked for.

    Raises:
        NotFound: there is none by that id in this library, or not for this caller.
    """
    statement = (
        select(DocumentRow, AccessRow)
        .outerjoin(AccessRow, _list_of_document(scope))
        .where(
            DocumentRow.id == document_id,
            DocumentRow.library_id == library_id,
            in_scope(DocumentRow, scope),
            readable(scope),
        )
    )
    if whole:
        statement = statement.options(undefer(DocumentRow.text))
    if (found := session.execute(statement).first()) is None:
        raise NotFound(f"There is no document {document_id} in this library; it may be deleted.")
    row, access = found
    return row, access


def matching(
    session: Session, scope: Scope, library_id: str, wanted: ColumnElement[bool]
) -> list[str]:
    """The ids of a library's documents that fit a condition and that the caller may read."""
    statement = select(DocumentRow.id).where(
        DocumentRow.library_id == library_id,
        in_scope(DocumentRow, scope),
        readable(scope),
        wanted,
    )
    return list(session.scalars(statement))


def stored(
    session: Session, scope: Scope, library_id: str, document_id: str
) -> tuple[DocumentRow, AccessRow | None]:
    """One document with its access list, whether or not the caller may read it.

    Raises:
        NotFound: there is none by that id in this library.
    """
    statement = (
        select(DocumentRow, AccessRow)
        .outerjoin(AccessRow, _list_of_document(scope))
        .where(
            DocumentRow.id == document_id,
            DocumentRow.library_id == library_id,
            in_scope(DocumentRow, scope),
        )
    )
    if (found := session.execute(statement).first()) is None:
        raise NotFound(f"There is no document {document_id} in this library; it may be deleted.")
    row, access = found
    return row, access


def passages(session: Session, scope: Scope, rows: Sequence[int]) -> dict[int, Row[Any]]:
    """Those of some passages that the caller may read, by row, as `ponant.live.port.Hit` has them.

    Each with its ``position`` and with ``readers``, the name of its access list or None.
    """
    statement = _passages(marked=bool(scope.marks))
    found = session.connection().execute(statement, asked(scope, rows=rows)).all()
    return {one.id: one for one in found}


@cache
def _passages(*, marked: bool) -> Executable:
    return (
        select(
            PassageRow.id,
            PassageRow.passage_id,
            PassageRow.hash,
            PassageRow.library_id,
            PassageRow.document_id,
            PassageRow.position,
            PassageRow.text,
            PassageRow.start,
            PassageRow.end,
            PassageRow.heading,
            DocumentRow.name.label("document_name"),
            DocumentRow.version.label("document_version"),
            DocumentRow.source_id,
            DocumentRow.url,
            DocumentRow.attributes.label("about"),
            AccessRow.name.label("readers"),
        )
        .join(DocumentRow, DocumentRow.id == PassageRow.document_id)
        .outerjoin(AccessRow, and_(AccessRow.id == DocumentRow.access_id, scoped(AccessRow)))
        .where(
            PassageRow.id.in_(bindparam("rows", expanding=True)),
            scoped(PassageRow),
            scoped(DocumentRow),
            readable_by(marked=marked),
        )
    )


def hashes(session: Session, scope: Scope, passage_ids: Sequence[str]) -> dict[str, str]:
    """The hashes of those passages that are there for the caller, by id."""
    found: dict[str, str] = {}
    for some in batches(passage_ids):
        statement = (
            select(PassageRow.passage_id, PassageRow.hash)
            .join(DocumentRow, DocumentRow.id == PassageRow.document_id)
            .where(
                PassageRow.passage_id.in_(some),
                in_scope(PassageRow, scope),
                in_scope(DocumentRow, scope),
                readable(scope),
            )
        )
        found.update((key, digest) for key, digest in session.execute(statement))
    return found


def restricted(session: Session, scope: Scope, library_id: str) -> dict[str, int]:
    """The access lists of those documents of a library that stand under one."""
    statement = select(DocumentRow.id, DocumentRow.access_id).where(
        DocumentRow.library_id == library_id,
        DocumentRow.access_id.is_not(None),
        in_scope(DocumentRow, scope),
    )
    return {document_id: list_id or 0 for document_id, list_id in session.execute(statement)}


def sizes(session: Session, scope: Scope) -> dict[str, tuple[int, int]]:
    """Documents and bytes of each library, as far as the caller may read."""
    statement = (
        select(DocumentRow.library_id, func.count(), func.sum(DocumentRow.size))
        .where(in_scope(DocumentRow, scope), readable(scope))
        .group_by(DocumentRow.library_id)
    )
    found = session.execute(statement)
    return {library_id: (count, int(size)) for library_id, count, size in found}


def _list_of_document(scope: Scope) -> ColumnElement[bool]:
    return and_(AccessRow.id == DocumentRow.access_id, in_scope(AccessRow, scope))
