"""One database: its engine, its transactions and its migrations."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.orm import Session

from ponant.kit.errors import SetupError, StorageFull, Unavailable

_MIGRATIONS = Path(__file__).parent / "migrations"
_VERSIONS = "alembic_version"
_CHECK_FILE = "Check that the file is Ponant's own and that this user may write it."
_CHECK_SERVER = (
    "Check that the server runs, and that the address names a database which this user may make "
    "tables in."
)
_AWAY = frozenset({"08", "57"})  # classes of PostgreSQL's codes: lost connections, shutdowns
_FULL = "53100"
_WAIT_SECONDS = 30
_RETRY_SECONDS = 0.01
_MERGE_PAGES = 1000  # of the write-ahead log, SQLite's own measure
_MOST_PAGES = 8 * _MERGE_PAGES  # 32 MB
_MERGE_WRITES = 250  # of a few pages each
_MOST_READERS = 15  # connections that read at the same time


class Database:
    """A database and the two ways to use it: `read` and `write`.

    On both kinds a `read` sees one state throughout, and one `write` goes on at a time, so that
    what it read first still holds when it stores.

    SQLite runs in WAL mode with ``synchronous=FULL``: what a `write` block returned from is on
    disk. A `write` opens with BEGIN IMMEDIATE, since a read that turns into a write fails at once
    when another writer came between. ``write(soon=True)`` does not wait for the disk, but
    for one that finds the log at 32 MB and merges it: what it returned from outlives this process,
    and a loss of power once `settle` was called (PostgreSQL waits for the disk at each).

    Args:
        url: SQLite's, or a PostgreSQL server's (``postgresql://…``).
        schema: whose tables these are; databases of different schemas may share a server's
            database, and their writes do not wait for each other.

    Raises:
        SetupError: the address names another kind of database.
    """

    def __init__(self, url: str, schema: str = "ponant") -> None:
        self.schema = schema
        if url.startswith("postgres"):
            # Imported where it is used: its driver takes a while, and most homes have files.
            from ponant.store import postgres  # noqa: PLC0415

            self.engine: Engine = postgres.engine(url, schema)
            self._readers: Engine = self.engine.execution_options(**postgres.READING)
        else:
            self.engine = _engine(url)
            # Connections of their own: SQLite compiles every statement of a connection anew after
            # one is told whether it may write.
            readers = _engine(url, pool_size=_MOST_READERS, max_overflow=0)
            event.listen(readers, "connect", _keep_from_writing)
            self._readers = readers.execution_options(ponant_mode="read")
        self.unmerged = 0  # writes that did not wait, since the last merge
        self.writes = 0  # that ended in this process, each by `write`
        self._writers = self.engine.execution_options(ponant_mode="write")
        self._soon = self.engine.execution_options(ponant_mode="soon")

    @property
    def is_server(self) -> bool:
        """Whether it is PostgreSQL's, and no file of SQLite's."""
        return self.engine.dialect.name == "postgresql"

    @classmethod
    def at(cls, path: Path) -> "Database":
        """The SQLite database in a file, whose folder is made where it is missing."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(f"sqlite:///{path}")

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the database; an attempt to write raises.

        Raises:
            Unavailable: the server does not answer.
        """
        with plain_errors(), Session(self._readers, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self, *, soon: bool = False) -> Iterator[Session]:
        """A session that commits when the block ends and rolls back when it raises.

        Args:
            soon: whether the disk may have it a little later; see `settle`.

        Raises:
            StorageFull: the disk is full; nothing of the block was stored.
            Unavailable: another process kept the database locked, or the server does not answer.
        """
        engine = self._soon if soon else self._writers
        with plain_errors(), Session(engine, expire_on_commit=False) as session, session.begin():
            yield session
        self.unmerged += soon
        self.writes += 1

    @contextmanager
    def write_over(self) -> Iterator[Session]:
        """As `write`, and a file of SQLite's holds nothing of what was replaced any more."""
        with self.write() as session:
            if not self.is_server:
                session.execute(text("PRAGMA secure_delete = ON"))
            yield session
        if not self.is_server:
            self._merge("TRUNCATE")

    def settle(self) -> None:
        """Wait until the disk has what ``write(soon=True)`` wrote; writers need not wait meanwhile.

        Raises:
            OSError: the disk does not take it.
        """
        if self.is_server or not self.engine.url.database:
            return
        try:
            log = os.open(f"{self.engine.url.database}-wal", os.O_RDWR)
        except FileNotFoundError:  # it was merged into the database, which waits for the disk
            return
        try:
            os.fsync(log)
        finally:
            os.close(log)
        if self.unmerged >= _MERGE_WRITES:
            self.unmerged = 0
            self._merge("PASSIVE")

    def _merge(self, how: str) -> None:
        """Bring the write-ahead log into the database."""
        raw = self.engine.raw_connection()  # no transaction may be open around it
        try:
            raw.cursor().execute(f"PRAGMA wal_checkpoint({how})")
        except sqlite3.OperationalError as e:
            raise OSError(f"The write-ahead log cannot be merged: {e}.") from e
        finally:
            raw.close()

    def migrate(self, name: str) -> None:
        """Bring the tables up to date with the migrations in ``store/migrations/<name>``.

        Processes that start at the same time take turns; the later ones find nothing to do.

        Raises:
            SetupError: the database cannot be opened, or a newer Ponant wrote it.
            StorageFull: the disk is full; the tables are as they were.
        """
        try:
            with plain_errors():
                if self._versions(name) != [_newest(name)]:
                    self._upgrade(name)
        except DatabaseError as e:
            raise self._unusable(e.orig) from e
        except Unavailable as e:
            if not self.is_server:
                raise
            raise self._unusable(getattr(e.__cause__, "orig", e)) from e

    def _unusable(self, reason: BaseException | None) -> SetupError:
        check = _CHECK_SERVER if self.is_server else _CHECK_FILE
        said = str(reason).strip().rstrip(".")
        return SetupError(f"The database {self._where()} cannot be used: {said}. {check}")

    def _versions(self, name: str) -> list[str]:
        """The migrations that the database stands at: one, or none where it is new."""
        table = self._version_table(name)
        with self.read() as session:
            if not inspect(session.connection()).has_table(table):
                return []
            return list(session.scalars(text(f"SELECT version_num FROM {table}")))  # noqa: S608

    def _version_table(self, name: str) -> str:
        # Files have one schema each; on a server several may stand beside each other.
        return f"alembic_version_{name}" if self.is_server and name != "ponant" else _VERSIONS

    def _upgrade(self, name: str) -> None:
        # Imported where there is something to do: it takes a fifth of a command's time to start.
        from alembic import command  # noqa: PLC0415
        from alembic.config import Config  # noqa: PLC0415
        from alembic.util import CommandError  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS / name).replace("%", "%%"))
        config.set_main_option("version_table", self._version_table(name))
        engine = self.engine.execution_options(ponant_mode="write")
        try:
            with engine.begin() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except CommandError as e:
            raise SetupError(
                f"The database {self._where()} was written by another version of Ponant ({e}). "
                "Install that version, or a newer one."
            ) from e
        if not self.is_server and self.engine.url.database:
            # A connection reads SQLite's statistics when it is opened, and migrations write them.
            self.engine.dispose()
            self._readers.dispose()

    def _where(self) -> str:
        return self.engine.url.render_as_string(hide_password=True)

    def close(self) -> None:
        self._readers.dispose()
        self.engine.dispose()


def _newest(name: str) -> str:
    """The last of the migrations in a folder: each is named after its revision, in their order."""
    return max(path.stem for path in (_MIGRATIONS / name / "versions").glob("[0-9]*.py"))


def _engine(url: str, **pool: int) -> Engine:
    if not url.startswith("sqlite"):
        raise SetupError("The address of a database must start with postgresql:// (or sqlite:///).")
    # Named parameters reach the driver as they are, so what a statement is bound to can be told
    # from its text.
    waits = {"timeout": _WAIT_SECONDS, "check_same_thread": False}
    # The values of a statement that failed may be secrets: they stay out of its error.
    engine = create_engine(
        url,
        paramstyle="named",
        connect_args=waits,
        hide_parameters=True,
        pool_use_lifo=True,  # the last one still has its pages and statements at hand
        **pool,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextmanager
def plain_errors() -> Iterator[None]:
    """Say of SQLAlchemy's errors in plain words what people can do something about."""
    try:
        yield
    except OperationalError as e:
        cause = str(e.orig)
        code = getattr(e.orig, "sqlstate", "")  # PostgreSQL's; None where the connection failed
        if "database or disk is full" in cause or code == _FULL:
            raise StorageFull(
                "The disk is full, so nothing was stored. Free some space and try again."
            ) from e
        if code is None or code[:2] in _AWAY:
            raise Unavailable(
                "The database server does not answer. Try again in a moment.", retry_after=1
            ) from e
        if "database is locked" in cause:
            raise Unavailable(
                "The database is busy with other writes. Try again in a moment.", retry_after=1
            ) from e
        raise


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # SQLAlchemy, not the driver, decides when a transaction begins.
    connection.isolation_level = None
    cursor = connection.cursor()
    _use_write_ahead_log(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _keep_from_writing(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA query_only=ON")


def _use_write_ahead_log(cursor: sqlite3.Cursor) -> None:
    # SQLite does not wait its usual time where two processes open a new file at once.
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as e:
            if "locked" not in str(e) or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get("ponant_mode")
    # The driver's own cursor: these need nothing of what a statement of ours passes through.
    cursor = connection.connection.cursor()
    begin(cursor, mode)
    cursor.close()


def begin(cursor: Any, mode: str | None) -> None:
    """Open a transaction of SQLite's: ``read`` on a connection for reading, ``write``, ``soon``."""
    if mode != "read":
        soon = mode == "soon"
        cursor.execute(f"PRAGMA synchronous={'NORMAL' if soon else 'FULL'}")
        # Who brings the log past its measure merges it, and waits for the disk. One that does not
        # wait leaves that to `settle`, which never gets to the end of a log that grows meanwhile.
        pages = _MOST_PAGES if soon else _MERGE_PAGES
        cursor.execute(f"PRAGMA wal_autocheckpoint={pages}")
    cursor.execute("BEGIN IMMEDIATE" if mode in {"write", "soon"} else "BEGIN")


def unwaiting(file: str) -> sqlite3.Connection:
    """A connection that waits for nobody: not for other writers, and not for the disk."""
    connection = sqlite3.connect(file, timeout=0, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA wal_autocheckpoint=0")  # `settle` merges the log
    return connection
