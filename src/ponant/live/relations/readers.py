"""Who may ask which table: lists by table, held whenever somebody asks.

A table without a list is everybody's in the workspace. Whoever asks a view or a window must be let
in to each table that it rests on, and whoever hears of a standing query's result to each that the
result was made from. A list outlives its table, so that one that comes back comes back closed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import duckdb

from ponant.kit.errors import BadRequest
from ponant.live.access import TableAccess
from ponant.live.relations.naming import missing, tables_in
from ponant.live.relations.shaping import plain
from ponant.live.relations.sql import BOOKS, writing

_SHOWN = f"SELECT name, declared, by_hand, held FROM {BOOKS}.readers"


@dataclass(frozen=True, slots=True)
class Asker:
    """What somebody may ask.

    Attributes:
        names: every table, view and window, in plain letters.
        shut: names that the asker's marks do not open by themselves.
        under: by view or window, what it rests on itself; None where that cannot be told.
    """

    names: frozenset[str]
    shut: frozenset[str]
    under: Mapping[str, frozenset[str] | None]

    def may(self, name: str) -> bool:
        """Whether something by this name may be read, with all that it rests on."""
        return self._opens(plain(name), frozenset())

    def require(self, names: Iterable[str]) -> None:
        """Refuse names as if they were not there.

        Raises:
            BadRequest: one is not there, or not theirs to read.
        """
        for name in sorted(names):
            if name not in self.names or not self.may(name):
                raise missing(name)

    def _opens(self, name: str, above: frozenset[str]) -> bool:
        if name in self.shut or name in above:
            return False
        under = self.under.get(name, frozenset())
        return under is not None and all(self._opens(one, above | {name}) for one in under)


def asker(reader: duckdb.DuckDBPyConnection, marks: Sequence[str] | None) -> Asker:
    """What those with one of the marks may ask; None is the server itself, which may all."""
    tables = reader.execute(f"SELECT name FROM {BOOKS}.tables").fetchall()
    windows = reader.execute(f'SELECT name, "table" FROM {BOOKS}.windows').fetchall()
    views = reader.execute(f"SELECT name, sql FROM {BOOKS}.views").fetchall()
    names = {plain(name) for name, *_ in (*tables, *windows, *views)}
    if marks is None:
        return Asker(frozenset(names), frozenset(), {})
    shut = {
        plain(one.name)
        for one in lists(reader)
        if one.access is not None and set(one.access).isdisjoint(marks)
    }
    under: dict[str, frozenset[str] | None] = {}
    if shut:  # else nothing depends on what rests on what
        under = {plain(name): frozenset({plain(table)}) for name, table in windows}
        under |= {plain(name): _under(reader, select) for name, select in views}
    return Asker(frozenset(names), frozenset(shut), under)


def rests_on(reader: duckdb.DuckDBPyConnection, select: str) -> list[str]:
    """Every name that a SELECT rests on, through views and windows too."""
    views = dict(reader.execute(f"SELECT name, sql FROM {BOOKS}.views").fetchall())
    windows = dict(reader.execute(f'SELECT name, "table" FROM {BOOKS}.windows').fetchall())
    under = {plain(name): {plain(table)} for name, table in windows.items()}
    found: set[str] = set()
    waiting = tables_in(reader, select)
    selects = {plain(name): text for name, text in views.items()}
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting |= under.get(name, set())
        if name in selects:
            waiting |= tables_in(reader, selects[name])
    return sorted(found)


def hears(
    reader: duckdb.DuckDBPyConnection, asker: Asker, select: str, rests: Sequence[str] | None
) -> bool:
    """Whether somebody may hear of a standing query.

    Args:
        rests: what its result was made from; None where it was made before lists were.
    """
    if not asker.shut:
        return True
    try:
        now = rests_on(reader, select)
    except BadRequest:
        return False
    return all(asker.may(one) for one in (*now, *(rests or ())))


def lists(reader: duckdb.DuckDBPyConnection) -> list[TableAccess]:
    """Every list that somebody declared or set."""
    return [
        TableAccess(
            name=name,
            access=_tuple(by_hand if held else declared),
            by_hand=held,
        )
        for name, declared, by_hand, held in reader.execute(_SHOWN).fetchall()
    ]


def declare(connection: duckdb.DuckDBPyConnection, name: str, access: Sequence[str] | None) -> None:
    """Note what a pipeline says; a list that was set by hand stays the one that counts."""
    _set(connection, name, "declared", access)


def hold(connection: duckdb.DuckDBPyConnection, name: str, access: Sequence[str] | None) -> None:
    """Let a list that was set by hand count."""
    _set(connection, name, "by_hand", access, held=True)


def release(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Let what a pipeline says count again."""
    _set(connection, name, "by_hand", None, held=False)


def _set(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    column: str,
    access: Sequence[str] | None,
    *,
    held: bool | None = None,
) -> None:
    key = plain(name)
    with writing(connection):
        connection.execute(
            f"INSERT INTO {BOOKS}.readers SELECT ?, NULL, NULL, false WHERE NOT EXISTS "
            f"(FROM {BOOKS}.readers WHERE name = ?)",
            [key, key],
        )
        connection.execute(
            f"UPDATE {BOOKS}.readers SET {column} = ?, held = coalesce(?, held) WHERE name = ?",
            [None if access is None else list(access), held, key],
        )


def _under(reader: duckdb.DuckDBPyConnection, select: str) -> frozenset[str] | None:
    try:
        return frozenset(tables_in(reader, select))
    except BadRequest:
        return None


def _tuple(marks: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if marks is None else tuple(marks)
