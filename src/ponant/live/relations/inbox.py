"""Inboxes: what is pushed to a pipeline waits here, on disk, until the pipeline has taken it."""

from typing import Any

import duckdb
import msgspec

from ponant.kit.errors import NotFound, TooManyRequests
from ponant.live.relations import sql
from ponant.live.relations.sql import BOOKS, value, writing

_MOST_WAITING = 100_000


class Inboxes:
    """The inboxes of one workspace; a pipeline opens them, HTTP callers fill them."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def open(self, name: str) -> None:
        """Accept what is pushed under this name from now on."""
        sql.named(name)
        if self._last(name) is None:
            with writing(self._connection):
                self._connection.execute(f"INSERT INTO {BOOKS}.inboxes VALUES (?, 0)", [name])

    def push(self, name: str, items: list[dict[str, Any]]) -> int:
        """Keep items; they are on disk when this returns the number of the last.

        Raises:
            NotFound: no pipeline opened it.
            TooManyRequests: too many wait.
        """
        last = self._last(name)
        if last is None:
            raise NotFound(f"There is no inbox {name}. A pipeline opens it with live.push().")
        waiting = value(
            self._connection, f"SELECT count(*) FROM {BOOKS}.inbox WHERE inbox = ?", name
        )
        if waiting + len(items) > _MOST_WAITING:
            raise TooManyRequests(
                f"{waiting} items wait in {name}. Start its pipeline, or push later.",
                retry_after=10,
            )
        if not items:
            return last
        with writing(self._connection):
            self._connection.executemany(
                f"INSERT INTO {BOOKS}.inbox VALUES (?, ?, ?)",
                [
                    [name, last + number, msgspec.json.encode(item).decode()]
                    for number, item in enumerate(items, start=1)
                ],
            )
            self._connection.execute(
                f"UPDATE {BOOKS}.inboxes SET last = ? WHERE name = ?", [last + len(items), name]
            )
        return last + len(items)

    def take(self, name: str, after: int, limit: int) -> list[tuple[int, dict[str, Any]]]:
        """The items past a number, the oldest first; those up to it are taken, and go."""
        with writing(self._connection):
            self._connection.execute(
                f"DELETE FROM {BOOKS}.inbox WHERE inbox = ? AND seq <= ?", [name, after]
            )
        found = self._connection.execute(
            f"SELECT seq, body FROM {BOOKS}.inbox WHERE inbox = ? ORDER BY seq LIMIT ?",
            [name, limit],
        ).fetchall()
        return [(seq, msgspec.json.decode(body)) for seq, body in found]

    def _last(self, name: str) -> int | None:
        found: int | None = value(
            self._connection, f"SELECT last FROM {BOOKS}.inboxes WHERE name = ?", name
        )
        return found
