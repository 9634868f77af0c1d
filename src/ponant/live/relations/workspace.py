"""One workspace's live tables: everything that may be asked of them, by method."""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from ponant.kit.errors import NotFound
from ponant.live.access import TableAccess
from ponant.live.relations import asking, readers
from ponant.live.relations.inbox import Inboxes
from ponant.live.relations.port import Answer, Changed, Cursor, Stored, Table, Window
from ponant.live.relations.shaping import Shaped
from ponant.live.relations.standing import Rows, Standing
from ponant.live.relations.store import Tables


class Workspace:
    """Methods in `WRITES` are for one thread, the writer; the others may run on any.

    Args:
        changed: told of changes of standing queries, on the thread that calls `settle`.
        stale: told that `settle` has something to do.
    """

    WRITES: ClassVar[frozenset[str]] = frozenset(
        {"put", "put_view", "put_window", "drop", "put_query", "remove_query"}
        | {"declare_readers", "release_readers", "set_readers"}
        | {"open_inbox", "push", "take"}
    )
    READS: ClassVar[frozenset[str]] = frozenset(
        {"query", "tables", "cursor", "keys", "changes", "result", "readers", "key", "closed"}
    )

    def __init__(
        self,
        workspace_id: str,
        path: Path,
        memory: int,
        seconds: float,
        changed: Callable[[Changed], None],
        stale: Callable[[], None],
    ) -> None:
        self._seconds = seconds
        self._changed, self._stale = changed, stale
        self._tables = Tables(path, memory)
        self._standing = Standing(workspace_id, self._tables.connection)
        self._inboxes = Inboxes(self._tables.connection)
        self._own = threading.local()
        self._dirty: set[str] = set()
        self._all_dirty = True  # what a crash kept from being asked again
        self._lock = threading.Lock()

    def close(self) -> None:
        self._tables.close()

    # Written

    def put(
        self,
        table: str,
        key: list[str],
        upserts: Shaped,
        deletes: Shaped,
        source: str = "",
        cursor: Cursor | None = None,
        complete: bool = False,  # noqa: FBT001, FBT002 - called by name over the pipe
    ) -> Stored:
        stored = self._tables.put(
            table,
            key,
            upserts,
            deletes,
            now=datetime.now(UTC),
            source=source,
            cursor=cursor,
            complete=complete,
        )
        self._note({table, *self._tables.windows_of(table)})
        return stored

    def put_view(self, name: str, sql: str) -> int:
        version = self._tables.put_view(name, sql, datetime.now(UTC))
        self._note({name})
        return version

    def put_window(self, window: Window) -> int:
        version = self._tables.put_window(window, datetime.now(UTC))
        self._note({window.name})
        return version

    def drop(self, name: str) -> int:
        version = self._tables.drop(name, datetime.now(UTC))
        self._note({name})
        return version

    def put_query(self, name: str, sql: str, key: list[str]) -> None:
        self._standing.declare(name, sql, key)
        answer = self._standing.ask(self._cursor(), name)
        if answer is not None:
            self._standing.note(name, answer)

    def remove_query(self, name: str) -> None:
        self._standing.remove(name)

    def declare_readers(self, name: str, access: list[str] | None) -> None:
        readers.declare(self._tables.connection, name, access)

    def set_readers(self, name: str, access: list[str] | None) -> None:
        readers.hold(self._tables.connection, name, access)

    def release_readers(self, name: str) -> None:
        readers.release(self._tables.connection, name)

    def open_inbox(self, name: str) -> None:
        self._inboxes.open(name)

    def push(self, name: str, items: list[dict[str, Any]]) -> int:
        return self._inboxes.push(name, items)

    def take(self, name: str, after: int, limit: int) -> list[tuple[int, dict[str, Any]]]:
        return self._inboxes.take(name, after, limit)

    # Read

    def query(self, sql: str, parameters: Any, limit: int, marks: list[str]) -> Answer:
        return asking.ask(self._cursor(), sql, parameters, limit, self._seconds, marks)

    def tables(self, marks: list[str] | None) -> list[Table]:
        return asking.tables(self._cursor(), marks)

    def key(self, table: str) -> list[str]:
        return self._tables.key(self._cursor(), table)

    def closed(self, names: list[str], marks: list[str]) -> list[str]:
        asker = readers.asker(self._cursor(), marks)
        return [name for name in names if not asker.may(name)]

    def readers(self) -> list[TableAccess]:
        return readers.lists(self._cursor())

    def cursor(self, table: str, source: str = "") -> Cursor | None:
        return self._tables.cursor_at(self._cursor(), table, source)

    def keys(self, table: str) -> list[list[Any]]:
        return self._tables.keys(self._cursor(), table)

    def changes(
        self, after: int, query: str | None, limit: int, marks: list[str] | None
    ) -> list[Changed]:
        return self._standing.changes(self._cursor(), after, query, limit, marks)

    def result(self, name: str, marks: list[str]) -> Rows:
        found = self._standing.result(self._cursor(), name, marks)
        if found is None:
            raise NotFound(f"There is no standing query {name}, or it has not been answered yet.")
        return found

    def stale(self) -> list[tuple[str, Answer | str]]:
        """Ask every standing query again whose tables changed; for a thread of its own."""
        with self._lock:
            dirty: set[str] | None = None if self._all_dirty else self._dirty
            self._dirty, self._all_dirty = set(), False
        if dirty is not None and not dirty:
            return []
        reader = self._cursor()
        asked = [
            (name, self._standing.ask(reader, name))
            for name in self._standing.affected(reader, dirty)
        ]
        return [(name, answer) for name, answer in asked if answer is not None]

    def note(self, name: str, answer: Answer | str) -> None:
        """Store what a standing query answers now and tell of it; the writer's."""
        changed = self._standing.note(name, answer)
        if changed is not None:
            self._changed(changed)

    def _note(self, names: Sequence[str] | set[str]) -> None:
        with self._lock:
            self._dirty.update(names)
        self._stale()

    def _cursor(self) -> Any:
        """A connection of this thread's own, since one serves one thread."""
        if not hasattr(self._own, "cursor"):
            self._own.cursor = self._tables.connection.cursor()
        return self._own.cursor
