"""Answers SQL from callers: one SELECT, in a transaction that writes nothing, within limits."""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import msgspec

from ponant.kit.errors import BadRequest
from ponant.live.relations import readers, sql
from ponant.live.relations.naming import tables_in
from ponant.live.relations.port import Answer, Column, Table, Window
from ponant.live.relations.sql import BOOKS

MOST_ROWS = 10_000
_MOST_BYTES = 16 * 2**20
_AT_ONCE = 500
_EXACT_BITS = 64

Parameters = Sequence[Any] | Mapping[str, Any] | None


def ask(
    connection: duckdb.DuckDBPyConnection,
    select: str,
    parameters: Parameters,
    limit: int,
    seconds: float,
    marks: Sequence[str] | None = None,
) -> Answer:
    """The rows that answer a SELECT, up to ``limit`` and some MiB.

    Args:
        marks: of who asks, for whom other tables are not there; None may read all.

    Raises:
        BadRequest: it is no SELECT, it fails, or it takes too long.
    """
    if not 1 <= limit <= MOST_ROWS:
        raise BadRequest(f"The limit must be from 1 to {MOST_ROWS}.", param="limit")
    sql.one_select(connection, select)
    with sql.reading(connection, seconds):
        readers.asker(connection, marks).require(tables_in(connection, select))
        rests = readers.rests_on(connection, select)
        version, stored = _state(connection)
        connection.execute(select, parameters or [])
        described = connection.description or []
        columns = tuple(Column(name, str(kind)) for name, kind, *_ in described)
        rows, truncated = _fetch(connection, columns, limit)
    return Answer(
        columns=columns,
        rows=rows,
        truncated=truncated,
        version=version,
        as_of=stored,
        tables=tuple(rests),
    )


def everything(name: str) -> str:
    """The SELECT of a whole table."""
    return f"SELECT * FROM main.{sql.quoted(name)}"


def objects(answer: Answer) -> list[dict[str, Any]]:
    """An answer's rows as objects by column."""
    names = [column.name for column in answer.columns]
    return [dict(zip(names, row, strict=True)) for row in answer.rows]


def tables(
    connection: duckdb.DuckDBPyConnection, marks: Sequence[str] | None = None
) -> list[Table]:
    """Everything that those with one of the marks may ask, by name."""
    with sql.reading(connection, seconds=10):
        asker = readers.asker(connection, marks)
        columns = _columns(connection)
        found = [
            *_stored_tables(connection, columns),
            *_views(connection, columns),
            *_windows(connection, columns),
            *_queries(connection, asker),
        ]
    return sorted((one for one in found if asker.may(one.name)), key=lambda one: one.name)


def read_tables(connection: duckdb.DuckDBPyConnection, select: str) -> set[str]:
    """The tables that a SELECT rests on, also through views."""
    views = dict(connection.execute(f"SELECT name, sql FROM {BOOKS}.views").fetchall())
    found: set[str] = set()
    waiting = [select]
    while waiting:
        for name in connection.get_table_names(waiting.pop()):
            if name not in found:
                found.add(name)
                waiting.extend([views[name]] if name in views else [])
    return found


def _fetch(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], limit: int
) -> tuple[list[list[Any]], bool]:
    documents = [number for number, column in enumerate(columns) if column.type == "JSON"]
    rows: list[list[Any]] = []
    size = 0
    while True:
        piece = connection.fetchmany(min(_AT_ONCE, limit + 1 - len(rows)))
        if not piece:
            return rows, False
        for values in piece:
            row = [_plain(value) for value in values]
            for number in documents:
                row[number] = None if row[number] is None else msgspec.json.decode(row[number])
            size += len(msgspec.msgpack.encode(row))
            if len(rows) == limit or size > _MOST_BYTES:
                return rows, True
            rows.append(row)


def _plain(value: Any) -> Any:
    """A value that can travel."""
    if isinstance(value, int) and value.bit_length() >= _EXACT_BITS:
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    return value


def _state(connection: duckdb.DuckDBPyConnection) -> tuple[int, Any]:
    row = connection.execute(f"SELECT version, stored FROM {BOOKS}.state").fetchone()
    if row is None:
        raise BadRequest("The tables have lost their version. Remove the file to start anew.")
    return row[0], row[1]


def _columns(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[Column, ...]]:
    found: dict[str, tuple[Column, ...]] = {}
    for table, name, kind in connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE schema_name = 'main' AND NOT internal ORDER BY table_name, column_index"
    ).fetchall():
        found[table] = (*found.get(table, ()), Column(name, kind))
    return found


def _stored_tables(
    connection: duckdb.DuckDBPyConnection, columns: Mapping[str, tuple[Column, ...]]
) -> list[Table]:
    found = connection.execute(
        "SELECT name, key, version, stored, coalesce((SELECT sum(late) FROM "
        f'{BOOKS}.windows w WHERE w."table" = t.name), 0) FROM {BOOKS}.tables t'
    ).fetchall()
    return [
        Table(
            name=name,
            kind="table",
            columns=columns.get(name, ()),
            rows=_count(connection, name),
            key=tuple(key),
            version=version,
            updated_at=stored,
            late=late,
        )
        for name, key, version, stored, late in found
    ]


def _views(
    connection: duckdb.DuckDBPyConnection, columns: Mapping[str, tuple[Column, ...]]
) -> list[Table]:
    found = connection.execute(f"SELECT name, sql FROM {BOOKS}.views").fetchall()
    return [
        Table(name=name, kind="view", columns=columns.get(name, ()), sql=select)
        for name, select in found
    ]


def _windows(
    connection: duckdb.DuckDBPyConnection, columns: Mapping[str, tuple[Column, ...]]
) -> list[Table]:
    found = connection.execute(f"SELECT definition, late FROM {BOOKS}.windows").fetchall()
    windows = [(msgspec.json.decode(one, type=Window), late) for one, late in found]
    return [
        Table(
            name=window.name,
            kind="window",
            columns=columns.get(window.name, ()),
            rows=_count(connection, window.name),
            key=("window_start", *window.by),
            late=late,
        )
        for window, late in windows
    ]


def _queries(connection: duckdb.DuckDBPyConnection, asker: readers.Asker) -> list[Table]:
    found = connection.execute(
        f"SELECT name, sql, key, version, message, rests FROM {BOOKS}.queries"
    ).fetchall()
    return [
        Table(
            name=name,
            kind="query",
            columns=(),
            key=tuple(key),
            version=version,
            sql=select,
            message=message,
        )
        for name, select, key, version, message, rests in found
        if readers.hears(connection, asker, select, rests)
    ]


def _count(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    count: int = sql.value(connection, f"SELECT count(*) FROM main.{sql.quoted(name)}")
    return count
