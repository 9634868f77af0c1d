"""Writes what is noted of a document, within the transaction of a change."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Update, bindparam, insert, update
from sqlalchemy.orm import Session

from ponant.kit import new_id
from ponant.live import repository
from ponant.live.indexing import access
from ponant.live.indexing.changes import Move, Reading
from ponant.live.reading.passages import Passage
from ponant.live.repository import Outline
from ponant.live.sources.port import Cursor
from ponant.live.tables import DocumentRow, PassageRow, SourceRow
from ponant.store import Scope, ScopeKind, in_scope, scoped

_SHIFT = (
    update(PassageRow)
    .where(PassageRow.id == bindparam("moved_id"), scoped(PassageRow))
    .values(position=bindparam("position"), start=bindparam("start"), end=bindparam("end"))
)
# A few rows a statement: SQLite looks for each named parameter among all of them, and binds them
# while no other thread may compute. A thousand rows at once took half a second.
_INSERT_PASSAGES = (
    insert(PassageRow)
    .returning(PassageRow.passage_id, PassageRow.id)
    .execution_options(insertmanyvalues_page_size=32)
)


def insert_document(move: Move, scope: Scope, source_id: str | None, reading: Reading) -> str:
    """A new document; returns its id."""
    document_id = new_id("doc")
    list_id = access.access_id(move.session, scope, reading.about.access)
    move.session.add(
        DocumentRow(
            id=document_id,
            workspace_id=scope.workspace_id,
            library_id=move.library_id,
            source_id=source_id,
            version=1,
            access_id=list_id,
            created_at=move.now,
            updated_at=move.now,
            **_values(reading),
        )
    )
    move.session.flush()
    move.access[document_id] = list_id or 0
    move.tell(document_id, reading.name, "added", list_id)
    return document_id


def update_document(move: Move, scope: Scope, document_id: str, reading: Reading) -> None:
    """A document's new text, and what its source says of it.

    An access list that was set by hand stays.

    Raises:
        NotFound: the document is gone.
    """
    row = repository.standing(move.session, scope, move.library_id, document_id)
    is_first = row.state == "pending" and not row.content_hash
    list_id = row.access_id
    if not row.access_by_hand:
        list_id = access.access_id(move.session, scope, reading.about.access)
    values = _values(reading) | {
        "version": row.version + 1 - is_first,
        "access_id": list_id,
        "updated_at": move.now,
    }
    set_document(move.session, scope, document_id, values)
    move.access[document_id] = list_id or 0
    told = row.access_id if list_id is None else list_id
    move.tell(document_id, reading.name, "added" if is_first else "updated", told)


def fail_document(
    move: Move, scope: Scope, document_id: str, reading: Reading, message: str
) -> None:
    """Note that a document cannot be read now; what it said, and who may read that, stays."""
    kept = {"text", "language", "url", "attributes", "source_version"}
    values = {name: value for name, value in _values(reading).items() if name not in kept}
    values |= {"state": "failed", "message": message}
    set_document(move.session, scope, document_id, values)


def set_document(
    session: Session, scope: Scope, document_id: str, values: Mapping[str, object]
) -> None:
    """Change columns of a document."""
    named = scope.parameters(ScopeKind.WORKSPACE) | {"document_id": document_id}
    given = {f"new_{name}": value for name, value in values.items()}
    session.connection().execute(_setting(tuple(values)), {**named, **given})


@cache
def _setting(names: tuple[str, ...]) -> Update:
    return (
        update(DocumentRow)
        .where(DocumentRow.id == bindparam("document_id"), scoped(DocumentRow))
        .values({getattr(DocumentRow, name): bindparam(f"new_{name}") for name in names})
    )


def set_cursor(
    session: Session, scope: Scope, source_id: str | None, cursor: Cursor | None
) -> None:
    """Note where a source goes on; None leaves what is noted."""
    if source_id is not None and cursor is not None:
        session.execute(
            update(SourceRow)
            .where(SourceRow.id == source_id, in_scope(SourceRow, scope))
            .values(cursor=cursor)
            .execution_options(synchronize_session=False)
        )


def shift_passages(
    session: Session, scope: Scope, same: Mapping[str, Outline], wanted: Sequence[Passage]
) -> None:
    """Note the new places of passages that an edit elsewhere moved."""
    moved = [
        {
            **scope.parameters(ScopeKind.WORKSPACE),
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
        session.connection().execute(_SHIFT, moved)


def insert_passages(
    move: Move,
    scope: Scope,
    document_id: str,
    passages: Sequence[Passage],
    embedded: Mapping[str, str],
) -> list[PassageRow]:
    """New passages of a document, in their order.

    Args:
        embedded: by which embedder, for those inputs whose vectors are at hand.
    """
    values: list[dict[str, Any]] = [
        {
            "workspace_id": scope.workspace_id,
            "library_id": move.library_id,
            "document_id": document_id,
            "passage_id": one.passage_id,
            "hash": one.hash,
            "input_hash": one.input_hash,
            "embedded_by": embedded.get(one.input_hash),
            "position": one.position,
            "start": one.start,
            "end": one.end,
            "heading": one.heading,
            "text": one.text,
        }
        for one in passages
    ]
    found = move.session.connection().execute(_INSERT_PASSAGES, values)
    rows = {row.passage_id: row.id for row in found}
    return [PassageRow(id=rows[one["passage_id"]], **one) for one in values]


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
        "language": reading.language,
        "url": reading.about.url,
        "attributes": dict(reading.about.metadata),
        "source_version": reading.about.source_version,
    }
