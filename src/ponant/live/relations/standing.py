"""Standing SQL queries: asked again when their tables change, their changes kept in order."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import duckdb
import msgspec

from ponant.kit.errors import BadRequest
from ponant.live.relations import readers, sql
from ponant.live.relations.asking import MOST_ROWS, ask, objects, read_tables
from ponant.live.relations.port import Answer, Changed
from ponant.live.relations.sql import BOOKS, value, writing

_SECONDS = 30.0
_KEPT = 1000  # changes of each query

Rows = list[dict[str, Any]]


class Standing:
    """The standing queries of one workspace.

    Asking runs on a reader's connection while rows go on being stored; noting is the writer's.
    """

    def __init__(self, workspace_id: str, connection: duckdb.DuckDBPyConnection) -> None:
        self._workspace_id = workspace_id
        self._connection = connection

    def declare(self, name: str, select: str, key: Sequence[str]) -> None:
        """Keep a query asked; nothing happens where it is the known one.

        Raises:
            BadRequest: it is not one SELECT, or does not fit the tables that there are.
        """
        sql.named(name)
        ask(self._connection, select, None, 1, _SECONDS)
        known = self._connection.execute(
            f"SELECT sql, key FROM {BOOKS}.queries WHERE name = ?", [name]
        ).fetchone()
        if known == (select, list(key)):
            return
        with writing(self._connection):
            self._connection.execute(f"DELETE FROM {BOOKS}.queries WHERE name = ?", [name])
            self._connection.execute(
                f"INSERT INTO {BOOKS}.queries VALUES (?, ?, ?, NULL, 0, '', NULL)",
                [name, select, list(key)],
            )

    def remove(self, name: str) -> None:
        """Ask it no more and forget its changes."""
        with writing(self._connection):
            self._connection.execute(f"DELETE FROM {BOOKS}.queries WHERE name = ?", [name])
            self._connection.execute(f"DELETE FROM {BOOKS}.changes WHERE query = ?", [name])

    def affected(self, reader: duckdb.DuckDBPyConnection, changed: set[str] | None) -> list[str]:
        """The queries that rest on changed tables; all of them where None is given."""
        found = reader.execute(f"SELECT name, sql FROM {BOOKS}.queries ORDER BY name").fetchall()
        return [
            name for name, select in found if changed is None or _rests_on(reader, select, changed)
        ]

    def ask(self, reader: duckdb.DuckDBPyConnection, name: str) -> Answer | str | None:
        """A query's rows now, or why there are none; None where the query is gone."""
        select = value(reader, f"SELECT sql FROM {BOOKS}.queries WHERE name = ?", name)
        if select is None:
            return None
        try:
            return ask(reader, select, None, MOST_ROWS, _SECONDS)
        except BadRequest as e:
            return e.message

    def note(self, name: str, answer: Answer | str) -> Changed | None:
        """Store what a query answers now; what changed, where something did."""
        row = self._connection.execute(
            f"SELECT result, key, sql, rests FROM {BOOKS}.queries WHERE name = ?", [name]
        ).fetchone()
        if row is None:
            return None
        if isinstance(answer, str):
            self._update(name, message=answer)
            return None
        before = None if row[0] is None else msgspec.json.decode(row[0], type=Rows)
        # Through JSON, so that what is compared is what is stored.
        encoded = msgspec.json.encode(objects(answer))
        after = msgspec.json.decode(encoded, type=Rows)
        message = f"Only the first {MOST_ROWS} rows are kept." if answer.truncated else ""
        if before == after:
            self._update(name, message=message)
            return None
        with writing(self._connection):
            rests = readers.rests_on(self._connection, row[2])
            self._connection.execute(
                f"UPDATE {BOOKS}.queries SET result = ?, version = ?, message = ?, rests = ? "
                "WHERE name = ?",
                [encoded.decode(), answer.version, message, rests, name],
            )
            if before is None:
                return None
            # What went may come from what the query rested on before.
            moved = sorted({*rests, *(row[3] or ())})
            return self._log(name, answer, before, after, row[1], moved)

    def result(
        self, reader: duckdb.DuckDBPyConnection, name: str, marks: Sequence[str] | None
    ) -> Rows | None:
        """The rows that a query answered last; None where there is no such query, or no answer."""
        with sql.reading(reader, _SECONDS):
            found = reader.execute(
                f"SELECT result, sql, rests FROM {BOOKS}.queries WHERE name = ?", [name]
            ).fetchone()
            if found is None or found[0] is None:
                return None
            if not readers.hears(reader, readers.asker(reader, marks), found[1], found[2]):
                return None
        return msgspec.json.decode(found[0], type=Rows)

    def changes(
        self,
        reader: duckdb.DuckDBPyConnection,
        after: int,
        query: str | None,
        limit: int,
        marks: Sequence[str] | None,
    ) -> list[Changed]:
        """What changed since that those with one of the marks may hear of, the oldest first."""
        with sql.reading(reader, _SECONDS):
            closed = self._closed(reader, marks)
            found = reader.execute(
                f"SELECT body FROM {BOOKS}.changes WHERE seq > ? AND (? IS NULL OR query = ?) "
                "AND query NOT IN (SELECT unnest(?::VARCHAR[])) "
                "AND NOT list_has_any(coalesce(rests, []::VARCHAR[]), ?::VARCHAR[]) "
                "ORDER BY seq LIMIT ?",
                [after, query, query, *closed, limit],
            ).fetchall()
        return [msgspec.json.decode(body, type=Changed) for (body,) in found]

    def _closed(
        self, reader: duckdb.DuckDBPyConnection, marks: Sequence[str] | None
    ) -> tuple[list[str], list[str]]:
        """The queries and the tables that somebody may not hear of."""
        asker = readers.asker(reader, marks)
        found = reader.execute(f"SELECT name, sql, rests FROM {BOOKS}.queries").fetchall()
        queries = [
            name for name, select, rests in found if not readers.hears(reader, asker, select, rests)
        ]
        return queries, sorted(asker.shut)

    def _update(self, name: str, message: str) -> None:
        known = value(self._connection, f"SELECT message FROM {BOOKS}.queries WHERE name = ?", name)
        if known != message:
            with writing(self._connection):
                self._connection.execute(
                    f"UPDATE {BOOKS}.queries SET message = ? WHERE name = ?", [message, name]
                )

    def _next_number(self) -> int:
        """A number for a change that none had before, be it of a query that is gone."""
        number: int = 1 + value(
            self._connection,
            f"SELECT greatest(coalesce((SELECT max(last_change) FROM {BOOKS}.state), 0), "
            f"coalesce((SELECT max(seq) FROM {BOOKS}.changes), 0))",
        )
        self._connection.execute(f"UPDATE {BOOKS}.state SET last_change = ?", [number])
        return number

    def _log(
        self,
        name: str,
        answer: Answer,
        before: Rows,
        after: Rows,
        key: Sequence[str],
        rests: Sequence[str],
    ) -> Changed | None:
        added, removed, changed = difference(before, after, key)
        if not added and not removed and not changed:
            return None  # another order alone
        seq = self._next_number()
        told = Changed(
            seq=seq,
            workspace_id=self._workspace_id,
            query=name,
            version=answer.version,
            as_of=answer.as_of,
            added=tuple(added),
            removed=tuple(removed),
            changed=tuple(changed),
            truncated=answer.truncated,
        )
        self._connection.execute(
            f"INSERT INTO {BOOKS}.changes VALUES (?, ?, ?, ?)",
            [seq, name, msgspec.json.encode(told).decode(), list(rests)],
        )
        self._connection.execute(
            f"DELETE FROM {BOOKS}.changes WHERE query = ? AND seq NOT IN (SELECT seq FROM "
            f"{BOOKS}.changes WHERE query = ? ORDER BY seq DESC LIMIT {_KEPT})",
            [name, name],
        )
        return told


def difference(
    before: Rows, after: Rows, key: Sequence[str]
) -> tuple[Rows, Rows, list[tuple[dict[str, Any], dict[str, Any]]]]:
    """The rows that came and went, and pairs of those whose key stayed; order does not count."""
    gone = _bag(before) - _bag(after)
    come = _bag(after) - _bag(before)
    removed, added = _unbag(gone), _unbag(come)
    if not key:
        return added, removed, []
    by_key = {_key(row, key): row for row in removed}
    changed = [(by_key[_key(row, key)], row) for row in added if _key(row, key) in by_key]
    stayed = {_key(row, key) for _, row in changed}
    return (
        [row for row in added if _key(row, key) not in stayed],
        [row for row in removed if _key(row, key) not in stayed],
        changed,
    )


def _rests_on(reader: duckdb.DuckDBPyConnection, select: str, changed: set[str]) -> bool:
    try:
        return bool(read_tables(reader, select) & changed)
    except duckdb.Error:
        return True  # it no longer fits the tables, which asking it will say


def _bag(rows: Iterable[dict[str, Any]]) -> Counter[bytes]:
    return Counter(msgspec.json.encode(row) for row in rows)


def _unbag(bag: Counter[bytes]) -> Rows:
    return [msgspec.json.decode(row) for row in bag.elements()]


def _key(row: dict[str, Any], key: Sequence[str]) -> bytes:
    return msgspec.json.encode([row.get(name) for name in key])
