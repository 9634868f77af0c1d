"""One database: its engine, its transactions and its migrations."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from ponant.kit.errors import StorageFull

_MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """A database and the two ways to use it: `read` and `write`.

    SQLite runs in WAL mode with ``synchronous=FULL``: what a `write` block returned from is on
    disk. A `write` opens with BEGIN IMMEDIATE, since a read that turns into a write fails at once
    when another writer came between.
    """

    def __init__(self, url: str) -> None:
        self.engine: Engine = create_engine(url, connect_args=_connect_args(url))
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)

    @classmethod
    def at(cls, path: Path) -> "Database":
        """The SQLite database in a file, whose folder is made where it is missing."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(f"sqlite:///{path}")

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the database and writes nothing."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that commits when the block ends and rolls back when it raises.

        Raises:
            StorageFull: the disk is full; nothing of the block was stored.
        """
        engine = self.engine.execution_options(ponant_write=True)
        try:
            with Session(engine, expire_on_commit=False) as session, session.begin():
                yield session
        except OperationalError as e:
            if "database or disk is full" in str(e.orig):
                raise StorageFull(
                    "The disk is full, so nothing was stored. Free some space and try again."
                ) from e
            raise

    def migrate(self, name: str) -> None:
        """Bring the tables up to date with the migrations in ``store/migrations/<name>``."""
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS / name).replace("%", "%%"))
        with self.engine.execution_options(ponant_write=True).begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        self.engine.dispose()


def _connect_args(url: str) -> dict[str, Any]:
    return {"timeout": 30, "check_same_thread": False} if url.startswith("sqlite") else {}


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # SQLAlchemy, not the driver, decides when a transaction begins.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    writes = connection.get_execution_options().get("ponant_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
