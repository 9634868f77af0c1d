"""Vectors in PostgreSQL's pgvector, compared there.

Beside live_vectors, which keeps what was embedded, stands a row for each passage that is found by
meaning. It is written in the transaction of the change and goes with its passage, so a statement
sees the vectors of its own version. A library's vectors by one embedder are a set; they are
compared one by one; where they are many, a set has an index of its own (HNSW: Malkov and Yashunin,
TPAMI 2020), so that no other library's vectors stand in its way.
"""

from collections.abc import Mapping, Sequence

import structlog
from sqlalchemy import (
    ColumnElement,
    exists,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from ponant.kit.errors import SetupError
from ponant.live import repository
from ponant.live.indexing import vector_rows
from ponant.live.indexing.pgvector_sql import (
    INSERT,
    NEAR,
    SEARCHING,
    SETS,
    SETS_OF,
    STRAY_INDEXES,
    TABLES,
    Query,
    VectorSet,
    build_index,
    choosing,
    distance_to,
    proposing,
    within,
)
from ponant.live.indexing.vectors import Placed
from ponant.live.tables import PassageRow
from ponant.store import Database, Scope, in_scope

MODES = ("auto", "memory", "pgvector")

APPROXIMATE_FROM = 50_000  # rows; fewer are compared one by one

_NEEDED = (0, 5)  # the first version with HNSW
_ITERATES = (0, 8)  # the first that goes on in an index until enough rows fit the conditions
_MOST_DIMENSIONS = 2000  # that an index takes
_PROPOSED = 4  # times the rows that are wanted, since some may not be read by who asks
_AT_ONCE = 2000  # vectors that are read and written together

_log = structlog.get_logger(__name__)


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
            for statement in TABLES:
                session.execute(text(statement))

    def last_identity(self) -> str | None:
        """The embedder whose vectors are there; None where there are none."""
        with self._database.read() as session:
            newest = select(SETS.c.identity).order_by(SETS.c.number.desc()).limit(1)
            return session.scalar(newest)

    def fill(self, session: Session, scope: Scope, library_id: str, identity: str) -> None:
        """Bring a library's vectors up to date with what is embedded, and drop other embedders'.

        There is work after another embedder, or after a time in which vectors lay in memory.
        """
        session.execute(
            SETS.delete().where(
                SETS.c.library_id == library_id,
                SETS.c.identity != identity,
            )
        )
        statement = select(PassageRow.id, PassageRow.document_id, PassageRow.input_hash).where(
            PassageRow.library_id == library_id,
            PassageRow.embedded_by == identity,
            ~exists().where(NEAR.c.passage == PassageRow.id),
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
            INSERT,
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
            statement = select(NEAR.c.passage, distance_to(one, query)).where(
                within(one), NEAR.c.passage.in_(rows)
            )
            found |= {row: -distance for row, distance in session.execute(statement)}
        return found

    def keep(self, library_id: str, identity: str) -> None:
        """Give a library that has become large its index, and drop those of which the sets went.

        It takes a while, in which everybody reads and writes on.
        """
        with self._database.read() as session:
            stray = list(session.scalars(STRAY_INDEXES))
            wanting = self._wanting(session, library_id, identity)
        if not stray and wanting is None:
            return
        with self._database.engine.connect() as plain:
            connection = plain.execution_options(isolation_level="AUTOCOMMIT")
            try:
                for name in stray:
                    connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {name}"))
                if wanting is not None:
                    build_index(connection, *wanting)
            except DBAPIError as e:
                _log.warning("Vectors have no index; searches take longer.", reason=str(e.orig))
                if wanting is not None:
                    self._refused.add(wanting[0].number)
            finally:
                connection.invalidate()  # it was set to build

    def _wanting(
        self, session: Session, library_id: str, identity: str
    ) -> tuple[VectorSet, int] | None:
        """A library's set and its rows, where it is to have an index and has none."""
        for one in self._sets(session, [library_id], identity):
            if one.is_indexed or one.number in self._refused or one.dimension > _MOST_DIMENSIONS:
                continue
            rows = session.scalar(select(func.count()).select_from(NEAR).where(within(one))) or 0
            if rows >= self._approximate_from:
                return one, rows
        return None

    def _nearest(
        self,
        session: Session,
        scope: Scope,
        one: VectorSet,
        query: Query,
        conditions: Sequence[ColumnElement[bool]],
        limit: int,
    ) -> list[tuple[int, float]]:
        """The nearest of one set; where too few of those may be read, all that may are compared."""
        near = distance_to(one, query)
        if one.is_indexed:
            session.execute(SEARCHING[self._iterates])
        if one.is_indexed and self._iterates:
            found = session.execute(choosing(scope, one, near, conditions, limit))
            kept = [(row, -distance) for row, distance in found]
            is_all = False
        else:
            proposed = session.execute(
                proposing(scope, one, near, conditions, _PROPOSED * limit)
            ).all()
            kept = [(row, -distance) for row, distance, fits in proposed if fits]
            is_all = not one.is_indexed and len(proposed) < _PROPOSED * limit
        if is_all or len(kept) >= limit:
            return kept[:limit]
        # No index is in the order of a sum.
        exactly = near + literal_column("0")
        found = session.execute(choosing(scope, one, exactly, conditions, limit))
        return [(row, -distance) for row, distance in found]

    def _number(self, session: Session, library_id: str, identity: str, dimension: int) -> int:
        """The number of a set, which is made where it is new."""
        named = select(SETS.c.number).where(
            SETS.c.library_id == library_id, SETS.c.identity == identity
        )
        if (number := session.scalar(named)) is None:
            values = {"library_id": library_id, "identity": identity, "dimension": dimension}
            made = SETS.insert().values(values).returning(SETS.c.number)
            number = session.scalar(made)
        return int(number)

    def _sets(self, session: Session, library_ids: Sequence[str], identity: str) -> list[VectorSet]:
        found = session.execute(SETS_OF, {"libraries": library_ids, "identity": identity})
        return [VectorSet(*row) for row in found]


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
