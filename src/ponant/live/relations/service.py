"""Live tables as the live process offers them: the part ``relations``."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

from ponant.kit.errors import BadRequest, NotFound
from ponant.live.access import TableAccess, checked_marks
from ponant.live.relations.frames import TablesSpec
from ponant.live.relations.port import Answer, Changed, Cursor, Stored, Table, Window
from ponant.live.relations.process import TablesProcess
from ponant.live.relations.shaping import Shaped, plain, shape, shape_keys
from ponant.store import Scope

FOLDER = "tables"
_LONGEST_WAIT = 30.0
_MOST_CHANGES = 1000

_R = TypeVar("_R")


class Relations:
    """Tables, views, windows and standing queries of every workspace.

    Who may ask a table is decided by the scope's marks at each call; whether somebody may write one
    or decide who reads it is the business of who asks.
    """

    METHODS: ClassVar[frozenset[str]] = frozenset(
        {"changes", "cursor", "describe", "drop", "keys", "open_inbox", "push", "put", "put_query"}
        | {"put_rows", "put_view", "put_window", "query", "remove_query", "result", "tables"}
        | {
            "all_changes",
            "closed",
            "declare_readers",
            "key",
            "readers",
            "release_readers",
            "set_readers",
        }
        | {"take"}
    )

    def __init__(self, home: Path, memory: int = 512 << 20, seconds: float = 10.0) -> None:
        folder = str(home / FOLDER)
        spec = TablesSpec(folder=folder, memory=memory, seconds=seconds)
        self._process = TablesProcess(spec, self._told)
        self._listeners: list[Callable[[Changed], None]] = []
        self._news = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process that owns the tables, while it runs."""
        return self._process.pid

    async def start(self) -> None:
        """Ask standing queries again where a crash may have kept one from it."""
        await self._process.start_where_needed()

    async def close(self) -> None:
        """What was stored is stored."""
        await self._process.close()

    def on_change(self, listener: Callable[[Changed], None]) -> None:
        """Tell of every change of a standing query, on the event loop, after it was stored."""
        self._listeners.append(listener)

    async def put(
        self,
        scope: Scope,
        table: str,
        key: list[str],
        upserts: Shaped,
        deletes: Shaped,
        *,
        source: str = "",
        cursor: Cursor | None = None,
        complete: bool = False,
    ) -> Stored:
        """Store a batch of shaped rows with its cursor in one transaction."""
        return await self._call(
            Stored,
            scope,
            "put",
            table=table,
            key=key,
            upserts=upserts,
            deletes=deletes,
            source=source,
            cursor=cursor,
            complete=complete,
        )

    async def put_rows(
        self,
        scope: Scope,
        table: str,
        key: list[str],
        upserts: list[dict[str, Any]],
        deletes: list[list[Any]],
        cursor: Cursor | None = None,
    ) -> Stored:
        """Store rows of plain values; all of them or, where one has no key, none.

        Raises:
            BadRequest: a row cannot be stored; the message says which and why.
        """
        rows, keys = shape(upserts, key), shape_keys([tuple(one) for one in deletes], key)
        for number, reason in (rows.refused | keys.refused).items():
            raise BadRequest(f"Row {number}: {reason}", param="rows")
        return await self.put(scope, table, key, rows, keys, cursor=cursor)

    async def cursor(self, scope: Scope, table: str, source: str = "") -> Cursor | None:
        """The last cursor that was stored for a table's source."""
        kind = cast("type[Cursor | None]", Cursor | None)
        return await self._call(kind, scope, "cursor", table=table, source=source)

    async def keys(self, scope: Scope, table: str) -> list[list[Any]]:
        """Every key in a table."""
        return await self._call(list[list[Any]], scope, "keys", table=table)

    async def query(
        self, scope: Scope, sql: str, parameters: Any = None, limit: int = 100
    ) -> Answer:
        """What one SELECT answers, of one version of the tables.

        Args:
            parameters: a list for ``?`` and ``$1``, or an object for ``$name``.

        Raises:
            BadRequest: it is no SELECT, it fails, or takes too long.
        """
        return await self._call(
            Answer,
            scope,
            "query",
            sql=sql,
            parameters=parameters,
            limit=limit,
            marks=list(scope.marks),
        )

    async def tables(self, scope: Scope) -> list[Table]:
        """Everything that the caller may ask, by name."""
        return await self._call(list[Table], scope, "tables", marks=list(scope.marks))

    async def describe(self, scope: Scope, name: str) -> Table:
        """One table, view, window or standing query; NotFound where it is not there."""
        for table in await self.tables(scope):
            if table.name == name:
                return table
        raise NotFound(f"There is no table {name}. List the tables to see which exist.")

    async def drop(self, scope: Scope, name: str) -> int:
        """Remove a table, view or window."""
        return await self._call(int, scope, "drop", name=name)

    async def put_view(self, scope: Scope, name: str, sql: str) -> int:
        """A view by name."""
        return await self._call(int, scope, "put_view", name=name, sql=sql)

    async def put_window(self, scope: Scope, window: Window) -> int:
        """Tumbling windows over a table."""
        return await self._call(int, scope, "put_window", window=window)

    async def put_query(
        self, scope: Scope, name: str, sql: str, key: list[str] | None = None
    ) -> None:
        """Keep a query asked; `on_change` and `changes` tell how its result changes.

        Args:
            key: columns that say which row is which, so that a row may change; without them rows
                come and go.
        """
        await self._call(None, scope, "put_query", name=name, sql=sql, key=key or [])

    async def remove_query(self, scope: Scope, name: str) -> None:
        """Ask a standing query no more."""
        await self._call(None, scope, "remove_query", name=name)

    async def result(self, scope: Scope, name: str) -> list[dict[str, Any]]:
        """The rows that a standing query answered last."""
        kind = list[dict[str, Any]]
        return await self._call(kind, scope, "result", name=name, marks=list(scope.marks))

    async def changes(
        self,
        scope: Scope,
        after: int = 0,
        query: str | None = None,
        wait: float = 0.0,
        limit: int = 100,
    ) -> list[Changed]:
        """Changes past a number that the caller may hear of; waits for one, where it is to."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(wait, _LONGEST_WAIT)
        limit = max(1, min(limit, _MOST_CHANGES))
        marks = list(scope.marks)
        while True:
            news = self._news
            found = await self._call(
                list[Changed], scope, "changes", after=after, query=query, limit=limit, marks=marks
            )
            left = deadline - loop.time()
            if found or left <= 0:
                return found
            await _waited(news, left)

    async def all_changes(self, scope: Scope, after: int, limit: int) -> list[Changed]:
        """Changes past a number, whoever may hear of them; for those who ask again for somebody."""
        limit = max(1, min(limit, _MOST_CHANGES))
        return await self._call(
            list[Changed], scope, "changes", after=after, query=None, limit=limit, marks=None
        )

    async def closed(self, scope: Scope, names: list[str]) -> list[str]:
        """Those of the names that the caller may not ask now, by their lists alone."""
        return await self._call(list[str], scope, "closed", names=names, marks=list(scope.marks))

    async def key(self, scope: Scope, table: str) -> list[str]:
        """The columns that a table's rows are known by."""
        return await self._call(list[str], scope, "key", table=table)

    async def readers(self, scope: Scope) -> list[TableAccess]:
        """Everything that SQL may ask with who may ask it, for those who decide that."""
        every = await self._call(list[Table], scope, "tables", marks=None)
        lists = await self._call(list[TableAccess], scope, "readers")
        known = {plain(one.name): one for one in lists}
        return [
            TableAccess(
                name=one.name,
                access=known[plain(one.name)].access if plain(one.name) in known else None,
                by_hand=plain(one.name) in known and known[plain(one.name)].by_hand,
            )
            for one in every
            if one.kind != "query"
        ]

    async def declare_readers(self, scope: Scope, name: str, access: list[str] | None) -> None:
        """Say as a pipeline who may ask a table, which need not be there yet; None is everybody."""
        await self._call(None, scope, "declare_readers", name=name, access=_checked(access))

    async def set_readers(self, scope: Scope, name: str, access: list[str] | None) -> TableAccess:
        """Say by hand who may ask a table, whatever its pipeline says.

        Raises:
            NotFound: there is no such table.
        """
        await self._access(scope, name)
        await self._call(None, scope, "set_readers", name=name, access=_checked(access))
        return await self._access(scope, name)

    async def release_readers(self, scope: Scope, name: str) -> TableAccess:
        """Let the table's pipeline say again."""
        await self._access(scope, name)
        await self._call(None, scope, "release_readers", name=name)
        return await self._access(scope, name)

    async def _access(self, scope: Scope, name: str) -> TableAccess:
        for one in await self.readers(scope):
            if one.name == name:
                return one
        raise NotFound(f"There is no table {name}. List the tables to see which exist.")

    async def open_inbox(self, scope: Scope, name: str) -> None:
        """Accept what is pushed to a pipeline under this name."""
        await self._call(None, scope, "open_inbox", name=name)

    async def push(self, scope: Scope, name: str, items: list[dict[str, Any]]) -> int:
        """Keep items for a pipeline; they are on disk when this returns their last number."""
        number = await self._call(int, scope, "push", name=name, items=items)
        self._wake()
        return number

    async def take(
        self, scope: Scope, name: str, after: int, limit: int = 100, wait: float = 0.0
    ) -> list[tuple[int, dict[str, Any]]]:
        """The items past a number, with those up to it taken; waits for the first."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(wait, _LONGEST_WAIT)
        while True:
            news = self._news
            found = await self._call(
                list[tuple[int, dict[str, Any]]],
                scope,
                "take",
                name=name,
                after=after,
                limit=limit,
            )
            left = deadline - loop.time()
            if found or left <= 0:
                return found
            await _waited(news, left)

    async def _call(
        self, kind: type[_R] | None, scope: Scope, method: str, /, **arguments: Any
    ) -> _R:
        if not scope.workspace_id:
            raise NotFound("There are no tables outside a workspace.")
        return await self._process.call(kind, scope.workspace_id, method, **arguments)

    def _told(self, changed: Changed) -> None:
        for listener in self._listeners:
            listener(changed)
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _checked(access: list[str] | None) -> list[str] | None:
    return None if access is None else list(checked_marks(access))


async def _waited(news: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        return
