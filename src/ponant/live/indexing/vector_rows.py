"""Reads and writes vectors in live.db, and which passages lack one."""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from sqlalchemy import Executable, Row, bindparam, func, select, update
from sqlalchemy.orm import Session

from ponant.live.indexing.vectors import Rows
from ponant.live.repository import batches
from ponant.live.tables import PassageRow, VectorRow
from ponant.store import Scope, ScopeKind, in_scope, insert_into, scoped

_KNOWN = select(VectorRow.input_hash, VectorRow.vector).where(
    VectorRow.input_hash.in_(bindparam("some", expanding=True)),
    VectorRow.identity == bindparam("identity"),
    scoped(VectorRow),
)

_NAMES = _KNOWN.with_only_columns(VectorRow.input_hash)


def known(session: Session, scope: Scope, identity: str, hashes: Sequence[str]) -> set[str]:
    """Of which inputs vectors are stored already."""
    found: set[str] = set()
    for some in batches(hashes):
        asked = {**scope.parameters(ScopeKind.WORKSPACE), "some": some, "identity": identity}
        found.update(session.connection().scalars(_NAMES, asked))
    return found


def known_vectors(
    session: Session, scope: Scope, identity: str, hashes: Sequence[str]
) -> dict[str, bytes]:
    """Vectors that are stored already, by what was embedded."""
    found: dict[str, bytes] = {}
    for some in batches(hashes):
        asked = {**scope.parameters(ScopeKind.WORKSPACE), "some": some, "identity": identity}
        found.update((key, vector) for key, vector in session.connection().execute(_KNOWN, asked))
    return found


def embedded_rows(
    session: Session, scope: Scope, library_id: str, identity: str
) -> dict[int, tuple[str, str]]:
    """Every row of a library that this embedder has embedded: its document, and what was."""
    statement = select(PassageRow.id, PassageRow.document_id, PassageRow.input_hash).where(
        PassageRow.library_id == library_id,
        PassageRow.embedded_by == identity,
        in_scope(PassageRow, scope),
    )
    found = session.connection().execute(statement)
    # As the driver gives them: a hundred thousand rows of SQLAlchemy's take as long again.
    rows = [] if found.cursor is None else found.cursor.fetchall()
    return {row: (document_id, key) for row, document_id, key in rows}


def newest_row(session: Session, scope: Scope) -> int:
    """The highest row of a workspace's libraries; 0 where there are none."""
    # Not max(), for which every row would be looked at.
    newest = select(PassageRow.id).where(in_scope(PassageRow, scope))
    return session.scalar(newest.order_by(PassageRow.id.desc()).limit(1)) or 0


def vectors_of(
    session: Session, scope: Scope, identity: str, rows: Mapping[int, tuple[str, str]]
) -> Rows:
    """The vectors of some rows, whose documents and hashes are given."""
    stored = known_vectors(session, scope, identity, list({key for _, key in rows.values()}))
    there = [(row, document) for row, (document, key) in rows.items() if key in stored]
    if not there:
        return Rows.of({})
    ids, documents = zip(*there, strict=True)
    matrix = np.frombuffer(b"".join(stored[rows[row][1]] for row in ids), np.float32)
    return Rows(np.array(ids, np.int64), documents, matrix.reshape(len(ids), -1))


def without_vector(
    session: Session, scope: Scope, library_id: str, limit: int
) -> Sequence[Row[int, str, str, str]]:
    """Passages that are not embedded yet, the newest first: row, input hash, heading and text."""
    statement = (
        select(PassageRow.id, PassageRow.input_hash, PassageRow.heading, PassageRow.text)
        .where(
            PassageRow.library_id == library_id,
            PassageRow.embedded_by.is_(None),
            in_scope(PassageRow, scope),
        )
        .order_by(PassageRow.id.desc())
        .limit(limit)
    )
    return session.connection().execute(statement).all()


def missing_vectors(session: Session, scope: Scope, library_id: str) -> int:
    """How many passages wait for an embedder."""
    statement = select(func.count()).where(
        PassageRow.library_id == library_id,
        PassageRow.embedded_by.is_(None),
        in_scope(PassageRow, scope),
    )
    return session.scalar(statement) or 0


def note_vectors(session: Session, scope: Scope, library_id: str, identity: str) -> None:
    """Note for passages of other embedders whether this one has embedded them too."""
    there = (
        select(VectorRow.identity)
        .where(
            VectorRow.input_hash == PassageRow.input_hash,
            VectorRow.identity == identity,
            in_scope(VectorRow, scope),
        )
        .correlate(PassageRow)
        .scalar_subquery()
    )
    session.execute(
        update(PassageRow)
        .where(
            PassageRow.library_id == library_id,
            PassageRow.embedded_by.is_distinct_from(identity),
            in_scope(PassageRow, scope),
        )
        .values(embedded_by=there)
        .execution_options(synchronize_session=False)
    )


def mark_embedded(session: Session, scope: Scope, rows: Sequence[int], identity: str) -> None:
    """Note that the vectors of these passages are stored."""
    session.connection().execute(
        update(PassageRow)
        .where(PassageRow.id.in_(rows), in_scope(PassageRow, scope))
        .values(embedded_by=identity)
    )


def store_vectors(
    session: Session, scope: Scope, identity: str, vectors: Mapping[str, bytes]
) -> None:
    """Keep vectors under what was embedded; those already there stay."""
    if vectors:
        session.connection().execute(
            _keeping(session.get_bind().dialect.name),
            [
                {
                    "workspace_id": scope.workspace_id,
                    "input_hash": key,
                    "identity": identity,
                    "vector": vector,
                }
                for key, vector in vectors.items()
            ],
        )


@cache
def _keeping(dialect: str) -> Executable:
    return insert_into(dialect, VectorRow).on_conflict_do_nothing()
