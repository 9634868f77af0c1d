"""Vectors in PostgreSQL's pgvector, compared there.

Beside live_vectors, which keeps what was embedded, stands a row for each passage that is found by
meaning. It is written in the transaction of the change and goes with its passage, so a statement
sees the vectors of its own version. A library's vectors by one embedder are a set; they are
compared one by one; where they are many, a set has an index of its own (HNSW: Malkov and Yashunin,
TPAMI 2020), so that no other library's vectors stand in its way.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Select,
    and_,
    cast,
    column,
    exists,
    func,
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

APPROXIMATE_FROM = 50_000  # rows; fewer are compared one by one

_NEEDED = (0, 5)  # the first version with HNSW
_ITERATES = (0, 8)  # the first that goes on in an index until enough rows fit the conditions
_MOST_DIMENSIONS = 2000  # that an index takes
_CONNECTIVITY = 16
_BUILT_WITH = 128  # candidates looked at for each row that comes
_SEARCHED_WITH = 200
_LEAST_MEMORY, _MOST_MEMORY = 64, 2048  # MiB that building an index may take
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

_log = structlog.get_logger(__name__)

Query = NDArray[np.float32]


_NAMED = text(
    "SELECT number, dimension, EXISTS (SELECT 1 FROM pg_index WHERE indisvalid "
    "AND indexrelid = to_regclass('live_near_' || number)) "
    "FROM live_vector_sets WHERE library_id = ANY(:libraries) AND identity = :identity"
)
_STRAY = text(
    "SELECT relname FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid "
    "WHERE indrelid = to_regclass('live_near') AND relname ~ '^live_near_[0-9]+$' "
    "AND (NOT indisvalid OR relname NOT IN (SELECT 'live_near_' || number FROM live_vector_sets))"
)
_SEARCHING = [
    text(f"SELECT set_config('hnsw.ef_search', '{_SEARCHED_WITH}', true)"),
    text(
        f"SELECT set_config('hnsw.ef_search', '{_SEARCHED_WITH}', true), "
        "set_config('hnsw.iterative_scan', 'strict_order', true)"
    ),
]
"""How an index is searched, by whether it goes on until enough rows fit."""


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
    is_indexed: bool


class VectorTable:
    """The vectors of all libraries of a database with pgvector.

    Args:
        version: of the extension.
        approximate_from: rows from which on a library has an approximate index.
    """

    def __init__(
        self,
        database: Database,
        version: tuple[int, ...],
        approximate_from: int = APPROXIMATE_FROM,
    ) -> None:
        self._database = database
        self._iterates = version >= _ITERATES
        self._approximate_from = approximate_from
        self._refused: set[int] = set()

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
        for one in self._sets(session, library_ids, identity):
            if one.dimension != len(query):  # of the embedder before
                continue
            found.extend(self._nearest(session, scope, one, query, conditions, limit))
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
        for one in self._sets(session, library_ids, identity):
            if one.dimension != len(query):
                continue
            statement = select(_NEAR.c.passage, _distance(one, query)).where(
                _in(one), _NEAR.c.passage.in_(rows)
            )
            found |= {row: -distance for row, distance in session.execute(statement)}
        return found

    def keep(self, library_id: str, identity: str) -> None:
        """Give a library that has become large its index, and drop those of which the sets went.

        It takes a while, in which everybody reads and writes on.
        """
        with self._database.read() as session:
            stray = list(session.scalars(_STRAY))
            wanting = self._wanting(session, library_id, identity)
        if not stray and wanting is None:
            return
        with self._database.engine.connect() as plain:
            connection = plain.execution_options(isolation_level="AUTOCOMMIT")
            try:
                for name in stray:
                    connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {name}"))
                if wanting is not None:
                    _build(connection, *wanting)
            except DBAPIError as e:
                _log.warning("Vectors have no index; searches take longer.", reason=str(e.orig))
                if wanting is not None:
                    self._refused.add(wanting[0].number)
            finally:
                connection.invalidate()  # it was set to build

    def _wanting(self, session: Session, library_id: str, identity: str) -> tuple[_Set, int] | None:
        """A library's set and its rows, where it is to have an index and has none."""
        for one in self._sets(session, [library_id], identity):
            if one.is_indexed or one.number in self._refused or one.dimension > _MOST_DIMENSIONS:
                continue
            rows = session.scalar(select(func.count()).select_from(_NEAR).where(_in(one))) or 0
            if rows >= self._approximate_from:
                return one, rows
        return None

    def _nearest(
        self,
        session: Session,
        scope: Scope,
        one: _Set,
        query: Query,
        conditions: Sequence[ColumnElement[bool]],
        limit: int,
    ) -> list[tuple[int, float]]:
        """The nearest of one set; where too few of those may be read, all that may are compared."""
        near = _distance(one, query)
        if one.is_indexed:
            session.execute(_SEARCHING[self._iterates])
        if one.is_indexed and self._iterates:
            found = session.execute(_choosing(scope, one, near, conditions, limit))
            kept = [(row, -distance) for row, distance in found]
            is_all = False
        else:
            proposed = session.execute(
                _proposing(scope, one, near, conditions, _PROPOSED * limit)
            ).all()
            kept = [(row, -distance) for row, distance, fits in proposed if fits]
            is_all = not one.is_indexed and len(proposed) < _PROPOSED * limit
        if is_all or len(kept) >= limit:
            return kept[:limit]
        # No index is in the order of a sum.
        exactly = near + literal_column("0")
        found = session.execute(_choosing(scope, one, exactly, conditions, limit))
        return [(row, -distance) for row, distance in found]

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

    def _sets(self, session: Session, library_ids: Sequence[str], identity: str) -> list[_Set]:
        found = session.execute(_NAMED, {"libraries": library_ids, "identity": identity})
        return [_Set(*row) for row in found]


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
    found = VectorTable(database, version)
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


def _build(connection: Connection, one: _Set, rows: int) -> None:
    """Make a set's index; the rest of the machine has other work."""
    needed = 2 * rows * one.dimension * 4 >> 20
    memory = min(max(needed, _LEAST_MEMORY), _MOST_MEMORY)
    connection.execute(text(f"SET maintenance_work_mem = '{memory}MB'"))
    connection.execute(text("SET max_parallel_maintenance_workers = 0"))
    connection.execute(
        text(
            f"CREATE INDEX CONCURRENTLY live_near_{one.number} ON live_near USING hnsw "
            f"((vector::vector({one.dimension})) vector_ip_ops) "
            f"WITH (m = {_CONNECTIVITY}, ef_construction = {_BUILT_WITH}) "
            f"WHERE set = {one.number}"
        )
    )


def _in(one: _Set) -> ColumnElement[bool]:
    # Written out, since an index of one set is only used where the number is known.
    return _NEAR.c.set == literal_column(str(one.number))


def _distance(one: _Set, query: Query) -> ColumnElement[float]:
    """The negative inner product, which is the cosine similarity of vectors of length 1."""
    kept = cast(_NEAR.c.vector, _Vector(one.dimension))
    return kept.op("<#>", return_type=Float())(cast(literal(query, _Vector()), _Vector()))


def _proposing(
    scope: Scope,
    one: _Set,
    distance: ColumnElement[float],
    conditions: Sequence[ColumnElement[bool]],
    limit: int,
) -> Select[Any]:
    """The nearest of all, each with whether its document fits."""
    near = (
        select(_NEAR.c.passage, _NEAR.c.document_id, distance.label("distance"))
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
    distance: ColumnElement[float],
    conditions: Sequence[ColumnElement[bool]],
    limit: int,
) -> Select[Any]:
    """The nearest of those whose documents fit."""
    # In order before it is joined, so that what lies behind the limit is never joined.
    near = (
        select(_NEAR.c.passage, _NEAR.c.document_id, distance.label("distance"))
        .where(_in(one))
        .order_by(distance)
        .subquery("ranked")
    )
    return (
        select(near.c.passage, near.c.distance)
        .join(DocumentRow, DocumentRow.id == near.c.document_id)
        .where(in_scope(DocumentRow, scope), *conditions)
        .order_by(near.c.distance, near.c.passage)
        .limit(limit)
    )
