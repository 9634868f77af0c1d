"""What a pipeline remembers between runs: one SQLite file under ``PONANT_HOME/pipelines``.

What transforms returned is kept by their code and their input. What each source document became is
kept with it, so that what it no longer becomes is taken back. A sink is told first and the file
second: told again after a crash, a sink finds nothing new.
"""

import sqlite3
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

_KEPT_SECONDS = 30 * 86400.0  # results of code or inputs that are no longer met

_TABLES = """
CREATE TABLE IF NOT EXISTS cursors (source TEXT PRIMARY KEY, cursor TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS memo (
    step TEXT, input TEXT, outputs BLOB NOT NULL, used REAL NOT NULL, PRIMARY KEY (step, input)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inputs (
    source TEXT, key TEXT, signature TEXT NOT NULL, hash TEXT NOT NULL, body BLOB,
    PRIMARY KEY (source, key)
);
CREATE TABLE IF NOT EXISTS done (
    path TEXT, source TEXT, key TEXT, hash TEXT NOT NULL, code TEXT NOT NULL,
    PRIMARY KEY (path, source, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outputs (
    sink TEXT, item TEXT, path TEXT NOT NULL, source TEXT NOT NULL, key TEXT NOT NULL,
    hash TEXT NOT NULL, PRIMARY KEY (sink, item)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS outputs_of ON outputs (path, source, key);
CREATE TABLE IF NOT EXISTS failures (
    source TEXT, key TEXT, step TEXT NOT NULL, reason TEXT NOT NULL, at REAL NOT NULL,
    tries INTEGER NOT NULL, PRIMARY KEY (source, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS states (source TEXT PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS wishes (wish TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS declared (kind TEXT, name TEXT, PRIMARY KEY (kind, name));
CREATE TABLE IF NOT EXISTS file (path TEXT);
"""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A document or row that waits to be replayed."""

    source: str
    key: str
    step: str
    reason: str
    at: float
    tries: int


class SourceNow(msgspec.Struct, frozen=True, kw_only=True):
    """How a pipeline's source fares."""

    source: str
    state: str
    message: str = ""
    seen: int = 0
    computed: int = 0
    kept: int = 0
    failed: int = 0
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Known:
    """An input as it was last seen."""

    signature: str
    hash: str


@dataclass(frozen=True, slots=True)
class Made:
    """Something that a sink was told, and the item of the source that it was made from."""

    item: str
    hash: str
    source: str
    key: str
    path: str


class Memory:
    """One pipeline's memory; its methods may be called from any thread.

    Args:
        path: of the file; None keeps everything in memory, for tests of pipelines.
    """

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(
            path or ":memory:", check_same_thread=False, isolation_level=None, timeout=30
        )
        self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
        self._connection.executescript(_TABLES)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """On disk when the outermost block ends, or undone."""
        with self._lock:
            if self._depth:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            else:
                self._connection.execute("COMMIT")
            finally:
                self._depth -= 1

    def belongs_to(self, file: str) -> str:
        """The file whose memory this is; the given one where nobody's it was."""
        row = self._one("SELECT path FROM file")
        if row is None:
            self._do("INSERT INTO file VALUES (?)", file)
            return file
        return str(row[0])

    def note_declared(self, declared: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Note what is declared by kind and name; returns what was before and is no longer."""
        before = self._all("SELECT kind, name FROM declared")
        with self.transaction():
            self._do("DELETE FROM declared")
            for kind, name in declared:
                self._do("INSERT OR IGNORE INTO declared VALUES (?, ?)", kind, name)
        return [one for one in before if one not in declared]

    # Cursors

    def cursor(self, source: str) -> dict[str, Any] | None:
        """Where a source goes on."""
        row = self._one("SELECT cursor FROM cursors WHERE source = ?", source)
        return None if row is None else msgspec.json.decode(row[0])

    def set_cursor(self, source: str, cursor: dict[str, Any]) -> None:
        text = msgspec.json.encode(cursor).decode()
        self._do("INSERT OR REPLACE INTO cursors VALUES (?, ?)", source, text)

    # What transforms returned

    def recall(self, step: str, item: str) -> bytes | None:
        """What a step returned for an input."""
        row = self._one("SELECT outputs, used FROM memo WHERE step = ? AND input = ?", step, item)
        if row is None:
            return None
        if time.time() - row[1] > _KEPT_SECONDS / 10:
            now = time.time()
            self._do("UPDATE memo SET used = ? WHERE step = ? AND input = ?", now, step, item)
        return bytes(row[0])

    def remember(self, step: str, item: str, outputs: bytes) -> None:
        self._do(
            "INSERT OR REPLACE INTO memo VALUES (?, ?, ?, ?)", step, item, outputs, time.time()
        )

    def forget_old(self) -> None:
        """Let go of results that were not met for a month."""
        self._do("DELETE FROM memo WHERE used < ?", time.time() - _KEPT_SECONDS)

    # Inputs

    def known(self, source: str) -> dict[str, Known]:
        """Every input of a source."""
        rows = self._all("SELECT key, signature, hash FROM inputs WHERE source = ?", source)
        return {key: Known(signature, found) for key, signature, found in rows}

    def put_input(self, source: str, key: str, known: Known, body: bytes | None) -> None:
        """Note an input; with its body where its source cannot be asked for it again."""
        sql = "INSERT OR REPLACE INTO inputs VALUES (?, ?, ?, ?, ?)"
        self._do(sql, source, key, known.signature, known.hash, body)

    def bodies(
        self, source: str, codes: Mapping[str, Collection[str]]
    ) -> Iterator[tuple[str, Known, bytes]]:
        """Kept inputs that a path has not seen with its present code, which are few at a time."""
        rows = self._all("SELECT key FROM inputs WHERE source = ? AND body IS NOT NULL", source)
        for (key,) in rows:
            done = self.done(source, key)
            if all(path in done and done[path][1] in known for path, known in codes.items()):
                continue
            row = self._one(
                "SELECT signature, hash, body FROM inputs WHERE source = ? AND key = ?", source, key
            )
            if row is not None and row[2] is not None:
                yield key, Known(row[0], row[1]), bytes(row[2])

    def drop_input(self, source: str, key: str) -> None:
        """Forget an input with all that is noted of it."""
        self._do("DELETE FROM inputs WHERE source = ? AND key = ?", source, key)
        self._do("DELETE FROM done WHERE source = ? AND key = ?", source, key)
        self.clear_failure(source, key)

    def done(self, source: str, key: str) -> dict[str, tuple[str, str]]:
        """By path, the input and the code that an item was last brought through with."""
        rows = self._all(
            "SELECT path, hash, code FROM done WHERE source = ? AND key = ?", source, key
        )
        return {path: (found, code) for path, found, code in rows}

    def all_done(self, source: str) -> dict[str, dict[str, tuple[str, str]]]:
        """`done` of every key of a source."""
        rows = self._all("SELECT key, path, hash, code FROM done WHERE source = ?", source)
        found: dict[str, dict[str, tuple[str, str]]] = {}
        for key, path, hashed, code in rows:
            found.setdefault(key, {})[path] = (hashed, code)
        return found

    def set_done(self, path: str, source: str, key: str, hashed: str, code: str) -> None:
        sql = "INSERT OR REPLACE INTO done VALUES (?, ?, ?, ?, ?)"
        self._do(sql, path, source, key, hashed, code)

    # Outputs

    def made(self, path: str, source: str, key: str) -> dict[str, str]:
        """What an item became along a path: each output's name and hash."""
        sql = "SELECT item, hash FROM outputs WHERE path = ? AND source = ? AND key = ?"
        return dict(self._all(sql, path, source, key))

    def owner(self, sink: str, item: str) -> tuple[str, str, str] | None:
        """The path, source and key that something in a sink was made from."""
        sql = "SELECT path, source, key FROM outputs WHERE sink = ? AND item = ?"
        row: tuple[str, str, str] | None = self._one(sql, sink, item)
        return row

    def put_output(self, sink: str, made: Made) -> None:
        sql = "INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?, ?, ?)"
        self._do(sql, sink, made.item, made.path, made.source, made.key, made.hash)

    def drop_outputs(self, sink: str, items: Iterable[str]) -> None:
        for item in items:
            self._do("DELETE FROM outputs WHERE sink = ? AND item = ?", sink, item)

    def strays(self, paths: Sequence[str]) -> list[tuple[str, str]]:
        """Outputs of paths that the pipeline no longer declares: their sinks and names."""
        marks = ", ".join("?" * len(paths))
        sql = f"SELECT sink, item FROM outputs WHERE path NOT IN ({marks})"  # noqa: S608 - marks alone
        return self._all(sql, *paths)

    # Failures

    def put_failure(self, source: str, key: str, step: str, reason: str) -> None:
        """Queue an item that failed."""
        self._do(
            "INSERT INTO failures VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (source, key) DO UPDATE "
            "SET step = excluded.step, reason = excluded.reason, at = excluded.at, "
            "tries = tries + 1",
            source,
            key,
            step,
            reason,
            time.time(),
        )

    def clear_failure(self, source: str, key: str) -> None:
        self._do("DELETE FROM failures WHERE source = ? AND key = ?", source, key)

    def failures(self) -> list[Failure]:
        """What waits to be replayed, the oldest first."""
        rows = self._all(
            "SELECT source, key, step, reason, at, tries FROM failures ORDER BY at, source, key"
        )
        return [
            Failure(source=source, key=key, step=step, reason=reason, at=at, tries=tries)
            for source, key, step, reason, at, tries in rows
        ]

    def forget_inputs(self, failures: Iterable[Failure]) -> None:
        """Have failed items read again as if they were new."""
        for one in failures:
            sql = "UPDATE inputs SET signature = '' WHERE source = ? AND key = ?"
            self._do(sql, one.source, one.key)
            self._do("DELETE FROM done WHERE source = ? AND key = ?", one.source, one.key)

    # States and wishes, between the command line and a running pipeline

    def set_state(self, now: SourceNow) -> None:
        text = msgspec.json.encode(now).decode()
        self._do("INSERT OR REPLACE INTO states VALUES (?, ?)", now.source, text)

    def states(self) -> list[SourceNow]:
        """How every source fares, by name."""
        rows = self._all("SELECT state FROM states ORDER BY source")
        return [msgspec.json.decode(text, type=SourceNow) for (text,) in rows]

    def clear_states(self) -> None:
        self._do("DELETE FROM states")

    def wish(self, name: str) -> None:
        """Ask the running pipeline for something."""
        self._do("INSERT OR IGNORE INTO wishes VALUES (?)", name)

    def take_wish(self, name: str) -> bool:
        """Whether something was asked for; it is no longer."""
        with self._lock:
            if self._one("SELECT 1 FROM wishes WHERE wish = ?", name) is None:
                return False
            self._do("DELETE FROM wishes WHERE wish = ?", name)
            return True

    def _do(self, sql: str, *values: Any) -> None:
        with self._lock:
            self._connection.execute(sql, values)

    def _one(self, sql: str, *values: Any) -> Any:
        with self._lock:
            return self._connection.execute(sql, values).fetchone()

    def _all(self, sql: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()
