"""Tumbling windows over a table: only those that a batch touched are computed again."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import msgspec

from ponant.kit.errors import BadRequest
from ponant.live.relations import sql
from ponant.live.relations.port import Window
from ponant.live.relations.sql import BOOKS, quoted, value

_START = "window_start"


@dataclass(frozen=True, slots=True)
class Touched:
    """A window definition and the temporary table of the starts that a batch touches."""

    window: Window
    starts: str


class Windows:
    """Keeps the windows of a workspace; every method is part of the writer's transaction."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._windows: dict[str, list[Window]] = {}

    def forget(self) -> None:
        """Look the definitions up again."""
        self._windows.clear()

    def names(self, table: str) -> list[str]:
        """The windows over a table."""
        return [window.name for window in self._of(table)]

    def select(self, window: Window, where: str = "") -> str:
        """The SELECT that computes windows.

        Raises:
            BadRequest: a length is not positive, or nothing is computed.
        """
        if window.every <= 0 or window.lateness < 0 or not window.columns:
            raise BadRequest(
                f"The window {window.name} needs a length, a lateness from 0 on, and columns."
            )
        by = [quoted(name) for name in window.by]
        computed = [f"({text}) AS {quoted(name)}" for name, text in window.columns.items()]
        columns = ", ".join([f"{_bucket(window, '')} AS {_START}", *by, *computed])
        groups = ", ".join([_bucket(window, ""), *by])
        known = f"{_time(window)} IS NOT NULL"
        return (
            f"SELECT {columns} FROM main.{sql.named(window.table)} "
            f"WHERE {known}{where} GROUP BY {groups}"
        )

    def define(self, window: Window) -> None:
        """Compute all windows of a new definition; nothing happens where it is the known one."""
        definition = msgspec.json.encode(window).decode()
        name = sql.named(window.name)
        known = value(
            self._connection, f"SELECT definition FROM {BOOKS}.windows WHERE name = ?", window.name
        )
        if known == definition:
            return
        self.forget()
        self._connection.execute(f"DROP TABLE IF EXISTS main.{name}")
        self._connection.execute(f"CREATE TABLE main.{name} AS {self.select(window)}")
        self._connection.execute(f"DELETE FROM {BOOKS}.windows WHERE name = ?", [window.name])
        self._connection.execute(
            f"INSERT INTO {BOOKS}.windows SELECT ?, ?, ?, max({_time(window)}), 0 "
            f"FROM main.{sql.named(window.table)}",
            [window.name, window.table, definition],
        )

    def touched(self, table: str, key: Sequence[str]) -> list[Touched]:
        """Note the windows that a batch will touch, with those of the rows that it replaces."""
        found = []
        for number, window in enumerate(self._of(table)):
            starts = f"touched_{number}"
            columns = {
                name.casefold()
                for (name,) in self._connection.execute(
                    "SELECT column_name FROM (DESCRIBE incoming)"
                ).fetchall()
            }
            new = (
                f"SELECT {_bucket(window, '')} FROM incoming UNION "
                if window.time.casefold() in columns
                else ""
            )
            old = " UNION ".join(
                f"SELECT {_bucket(window, 't.')} FROM main.{sql.named(table)} t, {batch} b WHERE "
                + " AND ".join(f"t.{quoted(k)} = b.{quoted(k)}" for k in key)
                for batch in ("incoming", "leaving")
            )
            self._connection.execute(
                f"CREATE OR REPLACE TEMP TABLE {starts} AS SELECT * FROM ({new}{old}) s({_START}) "
                f"WHERE {_START} IS NOT NULL"
            )
            found.append(Touched(window, starts))
        return found

    def refresh(self, table: str, touched: Sequence[Touched]) -> int:
        """Compute what was touched and is open; returns how many rows came too late."""
        return sum(self._refresh(table, one.window, one.starts) for one in touched)

    def _refresh(self, table: str, window: Window, starts: str) -> int:
        watermark = (
            f"(SELECT watermark FROM {BOOKS}.windows WHERE name = {sql.literal(window.name)})"
        )
        end = f"to_microseconds({round((window.every + window.lateness) * 1e6)})"
        closed = f"coalesce({_START} + {end} <= {watermark}, false)"
        late = self._late(window, closed)
        self._connection.execute(f"DELETE FROM {starts} WHERE {closed}")
        target = f"main.{sql.named(window.name)}"
        self._connection.execute(
            f"DELETE FROM {target} WHERE {_START} IN (SELECT {_START} FROM {starts})"
        )
        bounds = self._connection.execute(
            f"SELECT min({_START}), max({_START}) + to_microseconds({round(window.every * 1e6)}) "
            f"FROM {starts}"
        ).fetchone()
        if bounds is not None and bounds[0] is not None:
            # The bounds let DuckDB skip the blocks that hold other times.
            column = _time(window)
            where = (
                f" AND {column} >= ? AND {column} < ? "
                f"AND {_bucket(window, '')} IN (SELECT {_START} FROM {starts})"
            )
            self._connection.execute(
                f"INSERT INTO {target} {self.select(window, where)}", list(bounds)
            )
        self._connection.execute(
            f"UPDATE {BOOKS}.windows SET late = late + ?, watermark = greatest(watermark, "
            f"(SELECT max({_time(window)}) FROM main.{sql.named(table)})) WHERE name = ?",
            [late, window.name],
        )
        return late

    def _late(self, window: Window, closed: str) -> int:
        columns = self._connection.execute("SELECT column_name FROM (DESCRIBE incoming)").fetchall()
        if window.time.casefold() not in {name.casefold() for (name,) in columns}:
            return 0
        bucket = f"SELECT {_bucket(window, '')} AS {_START} FROM incoming"
        count: int = value(self._connection, f"SELECT count(*) FROM ({bucket}) WHERE {closed}")
        return count

    def _of(self, table: str) -> list[Window]:
        if table not in self._windows:
            self._windows[table] = self._stored(table)
        return self._windows[table]

    def _stored(self, table: str) -> list[Window]:
        found = self._connection.execute(
            f'SELECT definition FROM {BOOKS}.windows WHERE "table" = ? ORDER BY name', [table]
        ).fetchall()
        return [msgspec.json.decode(one, type=Window) for (one,) in found]


def _bucket(window: Window, prefix: str) -> str:
    """The start of a row's window, counted from 1970; time_bucket takes three times as long."""
    width = round(window.every * 1e6)
    moment = f"epoch_us({_time(window, prefix)})"
    return f"make_timestamptz({moment} - (({moment} % {width}) + {width}) % {width})"


def _time(window: Window, prefix: str = "") -> str:
    """A row's time; text that is none stands in no window."""
    return f"TRY_CAST({prefix}{quoted(window.time)} AS TIMESTAMPTZ)"
