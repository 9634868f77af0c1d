"""Live tables, asked by other processes."""

from collections.abc import Sequence
from typing import Any, Protocol

from ponant.live.access import TableAccess
from ponant.live.relations.port import Answer, Changed, Cursor, Stored, Table, Window
from ponant.live.relations.shaping import Shaped
from ponant.store import Scope


class Caller(Protocol):
    """`LiveClient.call`."""

    async def __call__(self, kind: Any, method: str, scope: Scope, /, **arguments: Any) -> Any: ...


class RelationsClient:
    """The methods of `ponant.live.relations.service.Relations`, over the local socket."""

    def __init__(self, call: Caller) -> None:
        self._call = call

    async def put(
        self,
        scope: Scope,
        table: str,
        key: Sequence[str],
        upserts: Shaped,
        deletes: Shaped,
        *,
        source: str = "",
        cursor: Cursor | None = None,
        complete: bool = False,
    ) -> Stored:
        """Store a batch of shaped rows with its cursor in one transaction."""
        found: Stored = await self._call(
            Stored,
            "relations.put",
            scope,
            table=table,
            key=list(key),
            upserts=upserts,
            deletes=deletes,
            source=source,
            cursor=cursor,
            complete=complete,
        )
        return found

    async def put_rows(
        self,
        scope: Scope,
        table: str,
        key: Sequence[str],
        upserts: Sequence[dict[str, Any]],
        deletes: Sequence[Sequence[Any]] = (),
    ) -> Stored:
        """Store rows of plain JSON values, or none of them where one has no key."""
        found: Stored = await self._call(
            Stored,
            "relations.put_rows",
            scope,
            table=table,
            key=list(key),
            upserts=list(upserts),
            deletes=[list(one) for one in deletes],
        )
        return found

    async def cursor(self, scope: Scope, table: str, source: str = "") -> Cursor | None:
        """The last cursor that was stored for a table's source."""
        found: Cursor | None = await self._call(
            Cursor | None, "relations.cursor", scope, table=table, source=source
        )
        return found

    async def keys(self, scope: Scope, table: str) -> list[list[Any]]:
        """Every key in a table."""
        found: list[list[Any]] = await self._call(
            list[list[Any]], "relations.keys", scope, table=table
        )
        return found

    async def query(
        self, scope: Scope, sql: str, parameters: Any = None, limit: int = 100
    ) -> Answer:
        """What one SELECT answers, of one version of the tables."""
        found: Answer = await self._call(
            Answer, "relations.query", scope, sql=sql, parameters=parameters, limit=limit
        )
        return found

    async def tables(self, scope: Scope) -> list[Table]:
        """Everything that the caller may ask, by name."""
        found: list[Table] = await self._call(list[Table], "relations.tables", scope)
        return found

    async def describe(self, scope: Scope, name: str) -> Table:
        """One table, view, window or standing query; NotFound where it is not there."""
        found: Table = await self._call(Table, "relations.describe", scope, name=name)
        return found

    async def drop(self, scope: Scope, name: str) -> int:
        """Remove a table, view or window."""
        version: int = await self._call(int, "relations.drop", scope, name=name)
        return version

    async def put_view(self, scope: Scope, name: str, sql: str) -> int:
        """A view by name."""
        version: int = await self._call(int, "relations.put_view", scope, name=name, sql=sql)
        return version

    async def put_window(self, scope: Scope, window: Window) -> int:
        """Tumbling windows over a table."""
        version: int = await self._call(int, "relations.put_window", scope, window=window)
        return version

    async def put_query(self, scope: Scope, name: str, sql: str, key: Sequence[str] = ()) -> None:
        """Keep a query asked."""
        await self._call(None, "relations.put_query", scope, name=name, sql=sql, key=list(key))

    async def remove_query(self, scope: Scope, name: str) -> None:
        """Ask a standing query no more."""
        await self._call(None, "relations.remove_query", scope, name=name)

    async def result(self, scope: Scope, name: str) -> list[dict[str, Any]]:
        """The rows that a standing query answered last."""
        found: list[dict[str, Any]] = await self._call(
            list[dict[str, Any]], "relations.result", scope, name=name
        )
        return found

    async def changes(
        self,
        scope: Scope,
        after: int = 0,
        query: str | None = None,
        wait: float = 0.0,
        limit: int = 100,
    ) -> list[Changed]:
        """Changes past a number that the caller may hear of; waits for one, where it is to."""
        found: list[Changed] = await self._call(
            list[Changed],
            "relations.changes",
            scope,
            after=after,
            query=query,
            wait=wait,
            limit=limit,
        )
        return found

    async def all_changes(self, scope: Scope, after: int, limit: int) -> list[Changed]:
        """Changes past a number, whoever may hear of them; for those who ask again for somebody."""
        found: list[Changed] = await self._call(
            list[Changed], "relations.all_changes", scope, after=after, limit=limit
        )
        return found

    async def closed(self, scope: Scope, names: Sequence[str]) -> list[str]:
        """Those of the names that the caller may not ask now."""
        found: list[str] = await self._call(list[str], "relations.closed", scope, names=list(names))
        return found

    async def key(self, scope: Scope, table: str) -> list[str]:
        """The columns that a table's rows are known by."""
        found: list[str] = await self._call(list[str], "relations.key", scope, table=table)
        return found

    async def readers(self, scope: Scope) -> list[TableAccess]:
        """Everything that SQL may ask with who may ask it, for those who decide that."""
        found: list[TableAccess] = await self._call(list[TableAccess], "relations.readers", scope)
        return found

    async def declare_readers(self, scope: Scope, name: str, access: Sequence[str] | None) -> None:
        """Say as a pipeline who may ask a table; None is everybody."""
        marks = None if access is None else list(access)
        await self._call(None, "relations.declare_readers", scope, name=name, access=marks)

    async def set_readers(
        self, scope: Scope, name: str, access: Sequence[str] | None
    ) -> TableAccess:
        """Say by hand who may ask a table, whatever its pipeline says."""
        marks = None if access is None else list(access)
        found: TableAccess = await self._call(
            TableAccess, "relations.set_readers", scope, name=name, access=marks
        )
        return found

    async def release_readers(self, scope: Scope, name: str) -> TableAccess:
        """Let the table's pipeline say again who may ask it."""
        found: TableAccess = await self._call(
            TableAccess, "relations.release_readers", scope, name=name
        )
        return found

    async def open_inbox(self, scope: Scope, name: str) -> None:
        """Accept what is pushed to a pipeline under this name."""
        await self._call(None, "relations.open_inbox", scope, name=name)

    async def push(self, scope: Scope, name: str, items: Sequence[dict[str, Any]]) -> int:
        """Keep items for a pipeline; they are on disk when this returns their last number."""
        last: int = await self._call(int, "relations.push", scope, name=name, items=list(items))
        return last

    async def take(
        self, scope: Scope, name: str, after: int, limit: int = 100, wait: float = 0.0
    ) -> list[tuple[int, dict[str, Any]]]:
        """The items past a number, with those up to it taken; waits for the first."""
        found: list[tuple[int, dict[str, Any]]] = await self._call(
            list[tuple[int, dict[str, Any]]],
            "relations.take",
            scope,
            name=name,
            after=after,
            limit=limit,
            wait=wait,
        )
        return found
