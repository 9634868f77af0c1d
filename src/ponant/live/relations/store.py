"""A workspace's live tables in DuckDB: rows by key, stored with the cursor of their source."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from ponant.kit.errors import BadRequest, Conflict, NotFound
from ponant.live.relations import sql
from ponant.live.relations.port import Cursor, Stored, Window
from ponant.live.relations.shaping import NOTHING, Shaped, wider
from ponant.live.relations.sql import BOOKS, quoted, value, writing
from ponant.live.relations.windows import Windows

_MOST_COLUMNS = 1000


class Tables:
    """The one who writes a workspace's tables; methods run one at a time.

    Rows are replaced by deleting and inserting rather than through a primary key: with an index,
    batches of 10,000 rows took three times as long and the file four times the room.
    """

    def __init__(self, path: Path, memory: int) -> None:
        self.connection = sql.connect(path, memory)
        self._windows = Windows(self.connection)
        self._shapes: dict[str, tuple[list[str], dict[str, str]]] = {}

    def close(self) -> None:
        """What was stored is stored."""
        self.connection.close()

    def put(
        self,
        table: str,
        key: Sequence[str],
        upserts: Shaped,
        deletes: Shaped,
        *,
        now: datetime,
        source: str = "",
        cursor: Cursor | None = None,
        complete: bool = False,
    ) -> Stored:
        """Store a batch in one transaction; the table is made or widened as it needs.

        Args:
            source: whose cursor it is; a table may have several sources.

        Raises:
            Conflict: the table has another key, or is a view.
            BadRequest: a name may not be one.
        """
        with self._writing():
            types = self._shape_table(table, key, upserts.types)
            late = 0
            if upserts.count or deletes.count or complete:
                self._take(upserts, deletes, key, types)
                touched = self._windows.touched(table, key)
                leaves = bool(deletes.count)
                self._replace(table, key, upserts.types, types, leaves=leaves, complete=complete)
                late = self._windows.refresh(table, touched)
            if cursor is not None:
                self._set_cursor(table, source, cursor)
            version = self._next_version(table, now)
        return Stored(version=version, rows=upserts.count, late=late)

    def cursor_at(
        self, reader: duckdb.DuckDBPyConnection, table: str, source: str
    ) -> Cursor | None:
        """The last cursor that was stored for a table's source."""
        found = value(
            reader,
            f'SELECT cursor FROM {BOOKS}.cursors WHERE "table" = ? AND source = ?',
            table,
            source,
        )
        return None if found is None else msgspec.json.decode(found, type=Cursor)

    def key(self, reader: duckdb.DuckDBPyConnection, table: str) -> list[str]:
        """The columns that a table's rows are known by.

        Raises:
            NotFound: there is no such table.
        """
        found: list[str] | None = value(
            reader, f"SELECT key FROM {BOOKS}.tables WHERE name = ?", table
        )
        if found is None:
            raise NotFound(f"There is no table {table}.")
        return found

    def keys(self, reader: duckdb.DuckDBPyConnection, table: str) -> list[list[Any]]:
        """Every key in a table, for a source that must find out what is gone."""
        key = value(reader, f"SELECT key FROM {BOOKS}.tables WHERE name = ?", table)
        if key is None:
            return []
        columns = ", ".join(quoted(name) for name in key)
        found = reader.execute(f"SELECT {columns} FROM main.{sql.named(table)}").fetchall()
        return [list(row) for row in found]

    def windows_of(self, table: str) -> list[str]:
        """The windows over a table."""
        return self._windows.names(table)

    def put_view(self, name: str, select: str, now: datetime) -> int:
        """A view by name; returns the version from which on it is there.

        Raises:
            BadRequest: the SQL is not one SELECT, or does not fit the tables that there are.
            Conflict: a table has that name.
        """
        self._check(select)
        self._require_free(name, "view")
        with writing(self.connection):
            self._create_view(name, select)
            self.connection.execute(f"DELETE FROM {BOOKS}.views WHERE name = ?", [name])
            self.connection.execute(f"INSERT INTO {BOOKS}.views VALUES (?, ?)", [name, select])
            return self._next_version(None, now)

    def put_window(self, window: Window, now: datetime) -> int:
        """Tumbling windows over a table; computed anew where the definition changed.

        Raises:
            BadRequest: the definition does not fit the table.
            NotFound: there is no such table.
            Conflict: a table has that name.
        """
        if self._known(window.table) is None:
            raise NotFound(f"There is no table {window.table} yet for the window {window.name}.")
        self._require_free(window.name, "window")
        self._check(self._windows.select(window))
        with self._writing():
            self._windows.define(window)
            return self._next_version(None, now)

    def drop(self, name: str, now: datetime) -> int:
        """Remove a table, a view or a window with all that is noted of it.

        Raises:
            NotFound: there is none of that name.
        """
        kind = self._kind(name)
        if kind is None:
            raise NotFound(f"There is no table {name}.")
        self._forget()
        with writing(self.connection):
            what = "VIEW" if kind == "view" else "TABLE"
            self.connection.execute(f"DROP {what} main.{sql.named(name)}")
            for book, column in (
                ("tables", "name"),
                ("views", "name"),
                ("windows", "name"),
                ("cursors", "table"),
            ):
                self.connection.execute(
                    f"DELETE FROM {BOOKS}.{book} WHERE {quoted(column)} = ?", [name]
                )
            return self._next_version(None, now)

    def _take(
        self, upserts: Shaped, deletes: Shaped, key: Sequence[str], types: Mapping[str, str]
    ) -> None:
        """Put the batch into the temporary tables ``incoming`` and ``leaving``."""
        for name, shaped in (("incoming", upserts), ("leaving", deletes)):
            if shaped.count:
                select, parameters = sql.rows_of(shaped.rows, shaped.types)
                statement = f"CREATE OR REPLACE TEMP TABLE {name} AS {select}"
                self.connection.execute(statement, parameters)
                continue
            columns = ", ".join(f"{quoted(column)} {_stored(types[column])}" for column in key)
            self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} ({columns})")

    def _replace(
        self,
        table: str,
        key: Sequence[str],
        given: Mapping[str, str],
        types: Mapping[str, str],
        *,
        leaves: bool,
        complete: bool,
    ) -> None:
        target = f"main.{sql.named(table)}"
        if complete:
            self.connection.execute(f"DELETE FROM {target}")
        else:
            names = ["incoming", "leaving"] if leaves else ["incoming"]
            for name in names:
                same = " AND ".join(f"t.{quoted(k)} = {name}.{quoted(k)}" for k in key)
                self.connection.execute(f"DELETE FROM {target} t USING {name} WHERE {same}")
        if given:
            columns = ", ".join(quoted(name) for name in given)
            turned = ", ".join(
                f"to_json({quoted(name)})"
                if types[name] == "JSON" != kind and kind != NOTHING
                else quoted(name)
                for name, kind in given.items()
            )
            self.connection.execute(
                f"INSERT INTO {target} ({columns}) SELECT {turned} FROM incoming"
            )

    def _shape_table(
        self, table: str, key: Sequence[str], given: Mapping[str, str]
    ) -> dict[str, str]:
        """Make the table, or give it the columns and types that new rows need."""
        known = self._known(table)
        if known is None:
            self._require_free(table, "table")
            return self._create(table, key, given)
        if list(known[0]) != list(key):
            raise Conflict(
                f"The table {table} has the key {', '.join(known[0])}. Keep it, or name another."
            )
        types = known[1]
        folded = {name.casefold(): name for name in types}
        wanted = dict(types)
        for name, kind in given.items():
            if folded.get(name.casefold(), name) != name:
                raise BadRequest(f"The column {name} is already {folded[name.casefold()]}.")
            wanted[name] = wider(types.get(name, NOTHING), kind)
        if wanted != types:
            self._widen(table, types, wanted)
        return wanted

    def _create(self, table: str, key: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
        if not key:
            raise BadRequest(f"The table {table} needs a key: columns that tell its rows apart.")
        types = dict.fromkeys(key, NOTHING) | dict(given)
        _require_few(types)
        columns = ", ".join(f"{quoted(name)} {_stored(kind)}" for name, kind in types.items())
        self.connection.execute(f"CREATE TABLE main.{sql.named(table)} ({columns})")
        self.connection.execute(
            f"INSERT INTO {BOOKS}.tables VALUES (?, ?, ?, 0, now())",
            [table, list(key), msgspec.json.encode(types).decode()],
        )
        return types

    def _widen(self, table: str, types: Mapping[str, str], wanted: Mapping[str, str]) -> None:
        _require_few(wanted)
        target = f"main.{sql.named(table)}"
        for name, kind in wanted.items():
            column, stored = quoted(name), _stored(kind)
            if name not in types:
                self.connection.execute(f"ALTER TABLE {target} ADD COLUMN {column} {stored}")
            elif types[name] != kind:
                using = f"to_json({column})" if kind == "JSON" else f"CAST({column} AS {stored})"
                self.connection.execute(
                    f"ALTER TABLE {target} ALTER COLUMN {column} SET DATA TYPE {stored} "
                    f"USING {using}"
                )
        self.connection.execute(
            f"UPDATE {BOOKS}.tables SET types = ? WHERE name = ?",
            [msgspec.json.encode(wanted).decode(), table],
        )
        self._shapes.pop(table, None)
        self._renew_views()

    def _renew_views(self) -> None:
        """Views remember their columns' types: those of a widened table are made anew."""
        for name, select in self.connection.execute(f"FROM {BOOKS}.views").fetchall():
            self._create_view(name, select)

    def _create_view(self, name: str, select: str) -> None:
        try:
            self.connection.execute(f"CREATE OR REPLACE VIEW main.{sql.named(name)} AS {select}")
        except duckdb.Error as e:
            raise BadRequest(f"The view {name} does not work: {sql.first_line(e)}") from e

    def _check(self, select: str) -> None:
        """Bind a SELECT where nothing can be written.

        Raises:
            BadRequest: it is something else, or does not fit the tables.
        """
        sql.one_select(self.connection, select)
        with sql.reading(self.connection, seconds=10):
            self.connection.execute(f"EXPLAIN {select}").fetchall()

    def _require_free(self, name: str, kind: str) -> None:
        other = self._kind(name)
        if other not in (None, kind):
            raise Conflict(f"{name} is already the name of a {other}. Name it otherwise.")

    def _kind(self, name: str) -> str | None:
        for kind in ("table", "view", "window"):
            if value(self.connection, f"SELECT 1 FROM {BOOKS}.{kind}s WHERE name = ?", name):
                return kind
        return None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction; what is kept in memory of the tables goes with it where it is undone."""
        try:
            with writing(self.connection):
                yield
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        self._shapes.clear()
        self._windows.forget()

    def _known(self, table: str) -> tuple[list[str], dict[str, str]] | None:
        """A table's key and types."""
        if table not in self._shapes:
            found = self._stored_shape(table)
            if found is None:
                return None
            self._shapes[table] = found
        return self._shapes[table]

    def _stored_shape(self, table: str) -> tuple[list[str], dict[str, str]] | None:
        row = self.connection.execute(
            f"SELECT key, types FROM {BOOKS}.tables WHERE name = ?", [table]
        ).fetchone()
        if row is None:
            return None
        return row[0], msgspec.json.decode(row[1], type=dict[str, str])

    def _set_cursor(self, table: str, source: str, cursor: Cursor) -> None:
        self.connection.execute(
            f'DELETE FROM {BOOKS}.cursors WHERE "table" = ? AND source = ?', [table, source]
        )
        self.connection.execute(
            f"INSERT INTO {BOOKS}.cursors VALUES (?, ?, ?)",
            [table, source, msgspec.json.encode(cursor).decode()],
        )

    def _next_version(self, table: str | None, now: datetime) -> int:
        self.connection.execute(
            f"UPDATE {BOOKS}.state SET version = version + 1, stored = ?", [now]
        )
        version: int = value(self.connection, f"SELECT version FROM {BOOKS}.state")
        if table is not None:
            self.connection.execute(
                f"UPDATE {BOOKS}.tables SET version = ?, stored = ? WHERE name = ?",
                [version, now, table],
            )
        return version


def _stored(kind: str) -> str:
    return "VARCHAR" if kind == NOTHING else kind


def _require_few(types: Mapping[str, str]) -> None:
    if len(types) > _MOST_COLUMNS:
        raise BadRequest(f"A table may have {_MOST_COLUMNS} columns. Leave some out.")
