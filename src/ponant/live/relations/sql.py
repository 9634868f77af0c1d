"""Pieces of SQL, and what DuckDB is allowed to do for a workspace."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from ponant.kit.errors import BadRequest
from ponant.live.relations.shaping import NOTHING

BOOKS = "ponant"  # the schema of what is noted about tables
_LONGEST_SQL = 100_000  # characters
_LONGEST_NAME = 63

_BOOKS_SQL = f"""
CREATE SCHEMA IF NOT EXISTS {BOOKS};
CREATE TABLE IF NOT EXISTS {BOOKS}.state (version BIGINT, stored TIMESTAMPTZ);
INSERT INTO {BOOKS}.state (version, stored) SELECT 0, now() WHERE NOT EXISTS (FROM {BOOKS}.state);
CREATE TABLE IF NOT EXISTS {BOOKS}.tables
    (name VARCHAR, key VARCHAR[], types VARCHAR, version BIGINT, stored TIMESTAMPTZ);
CREATE TABLE IF NOT EXISTS {BOOKS}.views (name VARCHAR, sql VARCHAR);
CREATE TABLE IF NOT EXISTS {BOOKS}.cursors ("table" VARCHAR, source VARCHAR, cursor VARCHAR);
CREATE TABLE IF NOT EXISTS {BOOKS}.windows
    (name VARCHAR, "table" VARCHAR, definition VARCHAR, watermark TIMESTAMPTZ, late BIGINT);
CREATE TABLE IF NOT EXISTS {BOOKS}.queries
    (name VARCHAR, sql VARCHAR, key VARCHAR[], result VARCHAR, version BIGINT, message VARCHAR);
CREATE TABLE IF NOT EXISTS {BOOKS}.changes (seq BIGINT, query VARCHAR, body VARCHAR);
CREATE TABLE IF NOT EXISTS {BOOKS}.inbox
    (inbox VARCHAR, seq BIGINT, body VARCHAR);
CREATE TABLE IF NOT EXISTS {BOOKS}.inboxes (name VARCHAR, last BIGINT);
CREATE TABLE IF NOT EXISTS {BOOKS}.readers
    (name VARCHAR, declared VARCHAR[], by_hand VARCHAR[], held BOOLEAN);
ALTER TABLE {BOOKS}.queries ADD COLUMN IF NOT EXISTS rests VARCHAR[];
ALTER TABLE {BOOKS}.changes ADD COLUMN IF NOT EXISTS rests VARCHAR[];
ALTER TABLE {BOOKS}.state ADD COLUMN IF NOT EXISTS last_change BIGINT;
"""


def connect(path: Path, memory: int) -> duckdb.DuckDBPyConnection:
    """Open a workspace's tables so that SQL reaches nothing else.

    Args:
        memory: bytes that DuckDB may use for all of them.

    Raises:
        duckdb.Error: the file cannot be opened, or is no database.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = duckdb.connect(
        str(path),
        config={
            "threads": 2,
            "memory_limit": f"{memory >> 20}MiB",
            "temp_directory": f"{path}.tmp",
            "max_temp_directory_size": "4GiB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        },
    )
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    connection.execute(_BOOKS_SQL)
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def named(name: str) -> str:
    """A name in quotes, after a check that it may be one.

    Raises:
        BadRequest: it may not.
    """
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise BadRequest(f"A table's name has 1 to {_LONGEST_NAME} printable characters.")
    return quoted(name)


def quoted(name: str) -> str:
    """An identifier in quotes."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def literal(text: str) -> str:
    """A string in quotes."""
    escaped = text.replace("'", "''")
    return f"'{escaped}'"


def rows_of(rows: bytes, types: Mapping[str, str]) -> tuple[str, list[str]]:
    """A SELECT over JSON rows with typed columns, and its parameters."""
    plain = {NOTHING: "VARCHAR", "BLOB": "VARCHAR"}
    structure = msgspec.json.encode([{name: plain.get(kind, kind) for name, kind in types.items()}])
    columns = ", ".join(
        f"unhex({quoted(name)}) AS {quoted(name)}" if kind == "BLOB" else quoted(name)
        for name, kind in types.items()
    )
    unnested = f"SELECT unnest(from_json(?, {literal(structure.decode())}), recursive := true)"
    return f"SELECT {columns} FROM ({unnested})", [rows.decode()]


def one_select(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Refuse whatever is not one SELECT; that it writes nothing is for `reading` to hold.

    Raises:
        BadRequest: it is something else, or cannot be parsed.
    """
    if len(sql) > _LONGEST_SQL:
        raise BadRequest("The query is too long.", param="sql")
    try:
        kinds = [one.type for one in connection.extract_statements(sql)]
    except duckdb.Error as e:
        raise BadRequest(f"The SQL cannot be read: {first_line(e)}", param="sql") from e
    if kinds != [duckdb.StatementType.SELECT]:
        raise BadRequest("Ask one SELECT; tables are changed by their sources alone.", param="sql")


@contextmanager
def reading(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """A transaction that sees one state, can write nothing and ends after so many seconds.

    Raises:
        BadRequest: the SQL in it failed, or took too long.
    """
    timer = threading.Timer(seconds, connection.interrupt)
    connection.execute("BEGIN TRANSACTION READ ONLY")
    timer.start()
    try:
        yield
    except duckdb.InterruptException as e:
        raise BadRequest(
            f"The query took longer than {seconds:g} seconds. Filter more, or ask for less.",
            param="sql",
        ) from e
    except (duckdb.Error, MemoryError, OverflowError, UnicodeError) as e:
        raise BadRequest(f"The query failed: {first_line(e)}", param="sql") from e
    finally:
        timer.cancel()
        timer.join()
        connection.execute("ROLLBACK")


@contextmanager
def writing(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """A transaction that is on disk when the block is left, or undone."""
    connection.execute("BEGIN TRANSACTION")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def first_line(error: BaseException) -> str:
    """What an error says, without the statement it drew."""
    text = str(error).strip().split("\n", 1)[0]
    return text or type(error).__name__


def value(connection: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> Any:
    """The first column of the only row, or None where there is no row."""
    row = connection.execute(sql, list(parameters)).fetchone()
    return None if row is None else row[0]
