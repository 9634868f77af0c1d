"""The statements that keep vectors in pgvector and compare them there."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Select,
    and_,
    cast,
    column,
    literal,
    literal_column,
    select,
    table,
    text,
)
from sqlalchemy.types import UserDefinedType

from ponant.live.tables import DocumentRow
from ponant.store import Scope, in_scope

_CONNECTIVITY = 16
_BUILT_WITH = 128  # candidates looked at for each row that comes
_SEARCHED_WITH = 200
_LEAST_MEMORY, _MOST_MEMORY = 64, 2048  # MiB that building an index may take

Query = NDArray[np.float32]

TABLES = (
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

SETS = table("live_vector_sets", *map(column, ("number", "library_id", "identity", "dimension")))
NEAR = table("live_near", *map(column, ("passage", "set", "document_id", "vector")))
INSERT = text(
    "INSERT INTO live_near (passage, set, document_id, vector) "
    "VALUES (:passage, :set, :document_id, CAST(:vector AS VECTOR))"
)
SETS_OF = text(
    "SELECT number, dimension, EXISTS (SELECT 1 FROM pg_index WHERE indisvalid "
    "AND indexrelid = to_regclass('live_near_' || number)) "
    "FROM live_vector_sets WHERE library_id = ANY(:libraries) AND identity = :identity"
)
STRAY_INDEXES = text(
    "SELECT relname FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid "
    "WHERE indrelid = to_regclass('live_near') AND relname ~ '^live_near_[0-9]+$' "
    "AND (NOT indisvalid OR relname NOT IN (SELECT 'live_near_' || number FROM live_vector_sets))"
)
SEARCHING = [
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


class VectorSet(NamedTuple):
    """A library's vectors by one embedder."""

    number: int
    dimension: int
    is_indexed: bool


def build_index(connection: Connection, one: VectorSet, rows: int) -> None:
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


def within(one: VectorSet) -> ColumnElement[bool]:
    """The rows of one set."""
    # Written out, since an index of one set is only used where the number is known.
    return NEAR.c.set == literal_column(str(one.number))


def distance_to(one: VectorSet, query: Query) -> ColumnElement[float]:
    """The negative inner product, which is the cosine similarity of vectors of length 1."""
    kept = cast(NEAR.c.vector, _Vector(one.dimension))
    return kept.op("<#>", return_type=Float())(cast(literal(query, _Vector()), _Vector()))


def proposing(
    scope: Scope,
    one: VectorSet,
    distance: ColumnElement[float],
    conditions: Sequence[ColumnElement[bool]],
    limit: int,
) -> Select[Any]:
    """The nearest of all, each with whether its document fits."""
    near = (
        select(NEAR.c.passage, NEAR.c.document_id, distance.label("distance"))
        .where(within(one))
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


def choosing(
    scope: Scope,
    one: VectorSet,
    distance: ColumnElement[float],
    conditions: Sequence[ColumnElement[bool]],
    limit: int,
) -> Select[Any]:
    """The nearest of those whose documents fit."""
    # In order before it is joined, so that what lies behind the limit is never joined.
    near = (
        select(NEAR.c.passage, NEAR.c.document_id, distance.label("distance"))
        .where(within(one))
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
