"""Where a pipeline keeps what it made: libraries and tables of the running server."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ponant.kit.errors import BadRequest, Conflict, NotFound
from ponant.live.client import LiveClient
from ponant.live.pipelines.declared import Pipeline
from ponant.live.pipelines.items import EVERYBODY, Document, File, Item, key_values
from ponant.live.pipelines.port import KeptDocument, Place
from ponant.live.relations.port import Cursor, RowBatch, Window
from ponant.live.relations.shaping import shape, shape_keys
from ponant.store import Scope

_LARGEST_HAND = 8 * 2**20  # bytes of documents at a time


@dataclass(slots=True)
class Put:
    """What a sink is told, by the items' names; ``refused`` is its answer, with reasons."""

    sink: str
    key: tuple[str, ...] = ()
    upserts: dict[str, Item] = field(default_factory=dict)
    deletes: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)


class Sinks(Protocol):
    """What a runner needs of the place where a pipeline keeps things."""

    async def prepare(self, pipeline: Pipeline) -> None:
        """Make the libraries and inboxes."""

    async def declare_missing(self) -> str:
        """Declare the views, windows and queries that the tables have columns for by now.

        Returns:
            Why one cannot be declared yet, or "".
        """
        ...

    async def withdraw(self, kind: str, name: str) -> None:
        """Remove a ``window``, ``view`` or ``query`` that is no longer declared."""

    async def put(self, put: Put) -> dict[str, str]:
        """Keep items and let go of others; returns when both are stored, with what was refused."""
        ...

    async def put_rows(
        self, table: str, key: tuple[str, ...], batch: RowBatch, source: str
    ) -> list[tuple[str, str]]:
        """Store a batch with its cursor; returns what was refused, and why."""
        ...

    async def cursor(self, table: str, source: str) -> Cursor | None:
        """The last cursor that was stored with a table's rows."""
        ...

    async def keys(self, table: str) -> list[list[Any]]:
        """Every key in a table."""
        ...


class LiveSinks:
    """The libraries and tables of the server that runs."""

    def __init__(self, live: LiveClient, scope: Scope) -> None:
        self._live = live
        self._scope = scope
        self._pipeline = ""
        self._missing: list[Declared] = []
        self._declaring = asyncio.Lock()
        self._places: dict[str, Place] = {}

    async def prepare(self, pipeline: Pipeline) -> None:
        """Make the libraries and inboxes."""
        self._pipeline = pipeline.name
        self._missing = declarations(pipeline)
        for table in pipeline.tables:  # before there is a row to read
            readers = table.readers
            await self._live.relations.declare_readers(self._scope, table.name, readers)
        for library in pipeline.libraries:
            await self._place(library.name)
        for origin in pipeline.origins:
            if origin.kind == "push":
                await self._live.relations.open_inbox(self._scope, origin.config["inbox"])

    async def declare_missing(self) -> str:
        """Declare what the tables have columns for by now."""
        async with self._declaring:
            self._missing, reason = await self._declare_some(self._missing)
            return reason

    async def withdraw(self, kind: str, name: str) -> None:
        """Remove what is no longer declared."""
        with contextlib.suppress(NotFound):
            if kind == "query":
                await self._live.relations.remove_query(self._scope, name)
            else:
                await self._live.relations.drop(self._scope, name)

    async def put(self, put: Put) -> dict[str, str]:
        """Keep items and let go of others."""
        kind, _, name = put.sink.partition(":")
        if kind == "library":
            await self._keep(name, put)
            return {}
        # A table that is no longer declared still knows its key.
        key = put.key or tuple(await self._live.relations.key(self._scope, name))
        rows = [one for one in put.upserts.values() if isinstance(one, dict)]
        upserts = shape(rows, key)
        deletes = shape_keys([tuple(key_values(one)) for one in put.deletes], key)
        if upserts.count or deletes.count:
            await self._live.relations.put(self._scope, name, key, upserts, deletes)
        names = list(put.upserts)
        return {names[place]: reason for place, reason in upserts.refused.items() if place >= 0}

    async def put_rows(
        self, table: str, key: tuple[str, ...], batch: RowBatch, source: str
    ) -> list[tuple[str, str]]:
        """Store a batch with its cursor."""
        upserts = await asyncio.to_thread(shape, batch.upserts, key)
        deletes = shape_keys(batch.deletes, key)
        await self._live.relations.put(
            self._scope,
            table,
            key,
            upserts,
            deletes,
            source=source,
            cursor=batch.cursor,
            complete=batch.complete,
        )
        return [(f"row {place}", reason) for place, reason in upserts.refused.items()]

    async def cursor(self, table: str, source: str) -> Cursor | None:
        """The last cursor that was stored with a table's rows."""
        return await self._live.relations.cursor(self._scope, table, source)

    async def keys(self, table: str) -> list[list[Any]]:
        """Every key in a table."""
        return await self._live.relations.keys(self._scope, table)

    async def _place(self, name: str) -> Place:
        if name not in self._places:
            self._places[name] = await self._live.call(
                Place,
                "pipelines.open_library",
                self._scope,
                pipeline=self._pipeline,
                name=name,
            )
        return self._places[name]

    async def _keep(self, name: str, put: Put) -> None:
        place = await self._place(name)
        documents = [kept(one) for one in put.upserts.values() if not isinstance(one, dict)]
        deletes = sorted(put.deletes)
        for hand in _hands(documents) or [[]]:
            await self._live.call(
                None,
                "pipelines.keep",
                self._scope,
                library_id=place.library_id,
                pipeline=self._pipeline,
                upserts=hand,
                deletes=deletes,
            )
            deletes = []

    async def _declare_some(self, wanted: Sequence["Declared"]) -> tuple[list["Declared"], str]:
        """Declare what can be; returns what cannot yet, and why."""
        missing, reason = [], ""
        for one in wanted:
            try:
                await one.declare(self._live, self._scope)
            except (BadRequest, Conflict, NotFound) as e:
                missing.append(one)
                reason = reason or f"{one.name} is not there yet: {e.message}"
        return missing, reason


@dataclass(frozen=True, slots=True)
class Declared:
    """A view, a window or a standing query, ready to be declared."""

    name: str
    sql: str = ""
    key: tuple[str, ...] = ()
    window: Window | None = None
    standing: bool = False

    @property
    def kind(self) -> str:
        return "window" if self.window else "query" if self.standing else "view"

    async def declare(self, live: LiveClient, scope: Scope) -> None:
        """Tell the server of it."""
        if self.window is not None:
            await live.relations.put_window(scope, self.window)
        elif self.standing:
            await live.relations.put_query(scope, self.name, self.sql, self.key)
        else:
            await live.relations.put_view(scope, self.name, self.sql)


def declarations(pipeline: Pipeline) -> list[Declared]:
    """Windows, views and queries of a pipeline, in the order in which they can be declared."""
    windows = [
        Declared(
            one.name,
            window=Window(
                name=one.name,
                table=one.table,
                time=one.time,
                every=one.every,
                lateness=one.lateness,
                columns=dict(one.columns),
                by=one.by,
            ),
        )
        for one in pipeline.windows
    ]
    views = [Declared(one.name, one.sql) for one in pipeline.views]
    queries = [Declared(one.name, one.sql, one.key, standing=True) for one in pipeline.queries]
    return [*windows, *views, *queries]


def kept(item: Document | File) -> KeptDocument:
    """A document as a library keeps it."""
    return KeptDocument(
        key=item.key,
        name=item.name or item.key.rsplit("/", 1)[-1],
        data=item.data if isinstance(item, File) else item.text.encode(),
        media_type=item.media_type if isinstance(item, File) else "text/markdown",
        url=item.url,
        metadata=item.metadata,
        access=None if item.access == EVERYBODY else item.access,
    )


def _hands(documents: Sequence[KeptDocument]) -> list[list[KeptDocument]]:
    """Documents in pieces that are not too large for one message."""
    hands: list[list[KeptDocument]] = []
    size = _LARGEST_HAND
    for one in documents:
        size += len(one.data)
        if size > _LARGEST_HAND:
            hands.append([])
            size = len(one.data)
        hands[-1].append(one)
    return hands
