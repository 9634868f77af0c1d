"""Vectors in PostgreSQL's pgvector, compared there.

Beside live_vectors, which keeps what was embedded, stands a row for each passage that is found by
meaning. It is written in the transaction of the change and goes with its passage, so a statement
sees the vectors of its own version. A library's vectors by one embedder are a set; they are
compared one by one, or, where they are many, by an index of pgvector's (HNSW: Malkov and Yashunin,
TPAMI 2020).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ColumnElement,
    Float,
    Select,
    and_,
    cast,
    column,
    exists,
    literal,
    literal_column,
    select,
    table,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.types import UserDefinedType

from ponant.kit.errors import SetupError
from ponant.live import repository
from ponant.live.indexing import vector_rows
from ponant.live.indexing.vectors import Placed
from ponant.live.tables import DocumentRow, PassageRow
from ponant.store import Database, Scope, in_scope

MODES = ("auto", "memory", "pgvector")

_NEEDED = (0, 5)  # the first version with HNSW
_PROPOSED = 4  # times the rows that are wanted, since some may not be read by who asks
_AT_ONCE = 2000  # vectors that are read and written together

_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS live_vector_sets (
        number SERIAL PRIMARY KEY,
        library_id TEXT NOT NULL REFERENCES live_libraries (id) ON DELETE CASCADE,
        identity TEXT NOT NULL,
        dimension INTEGER NOT NULL,
        UNIQUE (library_id, identity)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS live_near (
        passage BIGINT PRIMARY KEY REFERENCES live_passages (id) ON DELETE CASCADE,
        set INTEGER NOT NULL REFERENCES live_vector_sets (number) ON DELETE CASCADE,
        document_id TEXT NOT NULL,
        vector VECTOR NOT NULL
    )
    """,
    "CREATE INDEX IF NOT EXISTS ix_live_near_set ON live_near (set)",
)

_SETS = table("live_vector_sets", *map(column, ("number", "library_id", "identity", "dimension")))
_NEAR = table("live_near", *map(column, ("passage", "set", "document_id", "vector")))
_INSERT = text(
    "INSERT INTO live_near (passage, set, document_id, vector) "
    "VALUES (:passage, :set, :document_id, CAST(:vector AS VECTOR))"
)

Query = NDArray[np.float32]


class _Vector(UserDefinedType[Any]):
    """pgvector's type; without a dimension it takes any."""

    cache_ok = True

    def __init__(self, dimension: int | None = None) -> None:
        self.dimension = dimension

    def get_col_spec(self, **_: Any) -> str:
        return "VECTOR" if self.dimension is None else f"VECTOR({self.dimension})"


class _Set(NamedTuple):
    number: int
    dimension: int


class VectorTable:
    """The vectors of all libraries of a database with pgvector."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def prepare(self) -> None:
        """Make its tables, where they are not there yet."""
        with self._database.write() as session:
            for statement in _TABLES:
                session.execute(text(statement))

    def last_identity(self) -> str | None:
        """The embedder whose vectors are there; None where there are none."""
        with self._database.read() as session:
            newest = select(_SETS.c.identity).order_by(_SETS.c.number.desc()).limit(1)
            return session.scalar(newest)

    def fill(self, session: Session, scope: Scope, library_id: str, identity: str) -> None:
        """Bring a library's vectors up to date with what is embedded, and drop other embedders'.

        There is work after another embedder, or after a time in which vectors lay in memory.
        """
        session.execute(
            _SETS.delete().where(_SETS.c.library_id == library_id, _SETS.c.identity != identity)
        )
        statement = select(PassageRow.id, PassageRow.document_id, PassageRow.input_hash).where(
            PassageRow.library_id == library_id,
            PassageRow.embedded_by == identity,
            ~exists().where(_NEAR.c.passage == PassageRow.id),
            in_scope(PassageRow, scope),
        )
        lacking = session.connection().execute(statement).all()
        for some in repository.batches(lacking, _AT_ONCE):
            rows = {row: (document_id, key) for row, document_id, key in some}
            found = vector_rows.vectors_of(session, scope, identity, rows)
            places = zip(found.ids.tolist(), found.documents, found.vectors, strict=True)
            placed = {row: (document_id, vector) for row, document_id, vector in places}
            self.store(session, library_id, identity, placed)

    def store(
        self, session: Session, library_id: str, identity: str, placed: Mapping[int, Placed]
    ) -> None:
        """Add vectors by passage row; those of passages that go, go with them."""
        if not placed:
            return
        dimension = len(next(iter(placed.values()))[1])
        number = self._number(session, library_id, identity, dimension)
        session.connection().execute(
            _INSERT,
            [
                {"passage": row, "set": number, "document_id": document_id, "vector": vector}
                for row, (document_id, vector) in placed.items()
            ],
        )

    def search(
        self,
        session: Session,
        scope: Scope,
        library_ids: Sequence[str],
        identity: str,
        query: Query,
        conditions: Sequence[ColumnElement[bool]],
        limit: int,
    ) -> list[tuple[int, float]]:
        """Passage rows and cosine similarities of the nearest vectors, the nearest first.

        Args:
            query: shape (dimension,), length 1.
            conditions: on the documents that are looked at.
        """
        found: list[tuple[int, float]] = []
        for one in self._sets(session, library_ids, identity, len(query)):
            found.extend(_nearest(session, scope, one, query, conditions, limit))
        found.sort(key=lambda item: (-item[1], item[0]))
        return found[:limit]

    def similarities(
        self,
        session: Session,
        library_ids: Sequence[str],
        identity: str,
        query: Query,
        rows: Sequence[int],
    ) -> dict[int, float]:
        """The cosine similarities of those of some passages that have a vector."""
        found: dict[int, float] = {}
        for one in self._sets(session, library_ids, identity, len(query)):
            statement = select(_NEAR.c.passage, _distance(one, query)).where(
                _in(one), _NEAR.c.passage.in_(rows)
            )
            found |= {row: -distance for row, distance in session.execute(statement)}
        return found

    def _number(self, session: Session, library_id: str, identity: str, dimension: int) -> int:
        """The number of a set, which is made where it is new."""
        named = select(_SETS.c.number).where(
            _SETS.c.library_id == library_id, _SETS.c.identity == identity
        )
        if (number := session.scalar(named)) is None:
            values = {"library_id": library_id, "identity": identity, "dimension": dimension}
            made = _SETS.insert().values(values).returning(_SETS.c.number)
            number = session.scalar(made)
        return int(number)

    def _sets(
        self, session: Session, library_ids: Sequence[str], identity: str, dimension: int
    ) -> list[_Set]:
        statement = select(_SETS.c.number, _SETS.c.dimension).where(
            _SETS.c.library_id.in_(library_ids),
            _SETS.c.identity == identity,
            _SETS.c.dimension == dimension,
        )
        return [_Set(*row) for row in session.execute(statement)]


def chosen(database: Database, mode: str) -> VectorTable | None:
    """Where a database's vectors are compared: here, or, by None, in memory.

    Args:
        mode: "memory", "pgvector", or "auto": pgvector where its extension was created.

    Raises:
        SetupError: pgvector is asked for and cannot be had.
    """
    if mode == "memory" or (mode == "auto" and not database.is_server):
        return None
    if not database.is_server:
        raise SetupError(
            "Vectors can be in pgvector only where live knowledge is in PostgreSQL. Set "
            "PONANT_LIVE_DATABASE_URL too, or leave PONANT_LIVE_VECTORS at auto."
        )
    version = _version(database)
    if mode == "pgvector" and version is None:
        _create(database)
        version = _version(database)
    if version is None or version < _NEEDED:
        if mode == "auto":
            return None
        raise SetupError("The database's extension vector is too old: 0.5 or newer is needed.")
    found = VectorTable(database)
    found.prepare()
    return found


def _version(database: Database) -> tuple[int, ...] | None:
    """Of the extension that is in use; None where there is none that statements would find."""
    statement = text(
        "SELECT extversion FROM pg_extension "
        "WHERE extname = 'vector' AND to_regtype('vector') IS NOT NULL"
    )
    with database.read() as session:
        found = session.scalar(statement)
    return None if found is None else tuple(int(part) for part in found.split(".")[:3])


def _create(database: Database) -> None:
    try:
        with database.write() as session:
            session.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
    except DBAPIError as e:
        said = str(e.orig).strip().splitlines()[0]
        raise SetupError(
            f"The database has no pgvector, and it cannot be made: {said}. Install pgvector on the "
            "server and run CREATE EXTENSION vector in the database as its administrator, or set "
            "PONANT_LIVE_VECTORS=memory."
        ) from e


def _in(one: _Set) -> ColumnElement[bool]:
    # Written out, since an index of one set is only used where the number is known.
    return _NEAR.c.set == literal_column(str(one.number))


def _distance(one: _Set, query: Query) -> ColumnElement[float]:
    """The negative inner product, which is the cosine similarity of vectors of length 1."""
    kept = cast(_NEAR.c.vector, _Vector(one.dimension))
    return kept.op("<#>", return_type=Float())(cast(literal(query, _Vector()), _Vector()))


def _nearest(
    session: Session,
    scope: Scope,
    one: _Set,
    query: Query,
    conditions: Sequence[ColumnElement[bool]],
    limit: int,
) -> list[tuple[int, float]]:
    """The nearest of one set; where few of those may be read, the nearest of what may."""
    found = session.execute(_proposing(scope, one, query, conditions, _PROPOSED * limit)).all()
    kept = [(row, -distance) for row, distance, fits in found if fits]
    if len(kept) < limit and len(found) == _PROPOSED * limit:
        allowed = session.execute(_choosing(scope, one, query, conditions, limit))
        kept = [(row, -distance) for row, distance in allowed]
    return kept[:limit]


def _proposing(
    scope: Scope,
    one: _Set,
    query: Query,
    conditions: Sequence[ColumnElement[bool]],
    limit: int,
) -> Select[Any]:
    """The nearest of all, each with whether its document fits."""
    distance = _distance(one, query).label("distance")
    near = (
        select(_NEAR.c.passage, _NEAR.c.document_id, distance)
        .where(_in(one))
        .order_by(distance)
        .limit(limit)
        .subquery("proposed")
    )
    fits = and_(DocumentRow.id == near.c.document_id, in_scope(DocumentRow, scope), *conditions)
    return (
        select(near.c.passage, near.c.distance, DocumentRow.id.is_not(None))
        .select_from(near)
        .outerjoin(DocumentRow, fits)
        .order_by(near.c.distance, near.c.passage)
    )


def _choosing(
    scope: Scope,
    one: _Set,
    query: Query,
    conditions: Sequence[ColumnElement[bool]],
    limit: int,
) -> Select[Any]:
    """The nearest of those whose documents fit."""
    distance = _distance(one, query).label("distance")
    return (
        select(_NEAR.c.passage, distance)
        .join(DocumentRow, DocumentRow.id == _NEAR.c.document_id)
        .where(_in(one), in_scope(DocumentRow, scope), *conditions)
        .order_by(distance, _NEAR.c.passage)
        .limit(limit)
    )
