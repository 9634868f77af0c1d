"""Where live knowledge is kept, a file or a PostgreSQL database, and that one process owns it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from ponant.kit.errors import SetupError
from ponant.store import Database

_SCHEMA = "live"
_WAIT_SECONDS = 10.0
_RETRY_SECONDS = 0.1
_LOOK_SECONDS = 1.0


def opened(home: Path, url: str = "") -> Database:
    """The database of a home; its tables are not yet up to date.

    Args:
        url: of a PostgreSQL server; by default it is a file in the home.

    Raises:
        SetupError: the address makes no sense.
    """
    return Database(url, _SCHEMA) if url else Database.at(home / "live.db")


@contextmanager
def owned(database: Database, lost: Callable[[], None]) -> Iterator[None]:
    """Own what a database knows while the block runs; a file's owner holds its home's lock.

    Args:
        lost: called from another thread when the server no longer holds this process for the
            owner, as after a restart: another may own it from then on.

    Raises:
        SetupError: another process owns it, or the server does not answer.
    """
    if not database.is_server:
        yield
        return
    connection = _locked(database)
    ended = threading.Event()
    driver: Any = connection.connection.driver_connection
    watching = threading.Thread(target=_watch, args=(driver, ended, lost), daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()
        connection.invalidate()  # closed, and with it the lock is given back
        connection.close()


def _locked(database: Database) -> Connection:
    """A connection that holds the lock; the owner before may still be ending."""
    # Imported where a server is used, as in the store: its driver takes a while.
    from ponant.store.postgres import lock_key  # noqa: PLC0415

    statement = text("SELECT pg_try_advisory_lock(:key)")
    deadline = time.monotonic() + _WAIT_SECONDS
    try:
        connection = database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        while not connection.scalar(statement, {"key": lock_key("the owner of live knowledge")}):
            if time.monotonic() > deadline:
                connection.close()
                raise SetupError(
                    "Another Ponant owns live knowledge in this database. Stop it, or give each "
                    "its own with PONANT_LIVE_DATABASE_URL."
                )
            time.sleep(_RETRY_SECONDS)
    except DBAPIError as e:
        raise SetupError(
            f"The database of live knowledge does not answer: {e.orig}. Check that the server "
            "runs and that PONANT_LIVE_DATABASE_URL names it."
        ) from e
    return connection


def _watch(driver: Any, ended: threading.Event, lost: Callable[[], None]) -> None:
    """Wait for the end of a connection: nothing is ever notified on it."""
    # Imported already, by the engine.
    import psycopg  # noqa: PLC0415

    try:
        while not ended.is_set():
            for _ in driver.notifies(timeout=_LOOK_SECONDS):
                pass
    except psycopg.Error:
        if not ended.is_set():
            lost()
