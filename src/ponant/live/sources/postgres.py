"""Follows a PostgreSQL table: each row a document, or each a row of a live table."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ponant.live.relations.port import RowBatch
from ponant.live.sources import records
from ponant.live.sources.port import Batch, Content, Cursor, Found, Gone
from ponant.live.sources.postgres_database import Place
from ponant.live.sources.postgres_log import Log, Piece, RowChange, dismantle, opened
from ponant.live.sources.postgres_tables import (
    Connection,
    Key,
    Raw,
    Table,
    describe,
    listing,
    pages,
    rows_of,
    signature,
    whole,
)

_SHARE = 0.02  # of the time at most goes into looking
_WHOLE = 200_000  # rows that replace a table at once; more come in parts
_ROWS_AT_ONCE = 200


class PostgresSource:
    """Documents of a table; keys are the rows' own, as text."""

    def __init__(self, place: Place) -> None:
        config = place.config
        self.interval = config.interval if config.mode == "poll" else None
        self._place = place
        self._shape: records.Shape = config
        # Other columns do not show, so that their changes change nothing.
        self._fields = config.fields() if config.text or config.template else set()

    async def batches(self, cursor: Cursor | None) -> AsyncGenerator[Batch]:
        """Yield rows as documents, from the cursor on."""
        looks = self._looks() if self.interval is not None else self._told(cursor)
        async for batch in looks:
            yield batch

    async def forget(self) -> None:
        """Drop what was made on the server, since a slot that nobody reads fills its disk."""
        if self.interval is None:
            await dismantle(self._place)

    async def _told(self, cursor: Cursor | None) -> AsyncGenerator[Batch]:
        async with opened(self._place, self._fields, cursor) as log:
            if log.begin is not None:
                changes, keyless = await self._standing(log)
                remark = _remarks(log.remark, _without_key(keyless))
                yield Batch(changes=changes, complete=True, cursor=log.begin, remark=remark)
            else:
                yield Batch(changes=(), complete=False, remark=log.remark)
            async for piece in log.pieces():
                changes = [self._change(log.table, change) for change in piece.changes]
                yield Batch(
                    changes=changes,
                    complete=piece.emptied,
                    cursor=piece.cursor,
                    remark=log.remark,
                )

    async def _standing(self, log: Log) -> tuple[list[Found | Gone], int]:
        table, changes, keyless = log.table, list[Found | Gone](), 0
        async with log.standing() as connection:
            async for rows in pages(connection, table):
                for row in rows:
                    key = table.key_of(row)
                    if key is None:
                        keyless += 1
                        continue
                    found = records.found(
                        self._shape, document_key(key), table.record(row), signature(row)
                    )
                    read = _Fetch(self, connection, table, key, found.signature)
                    changes.append(replace(found, read=read))
        return changes, keyless

    def _change(self, table: Table, change: RowChange) -> Found | Gone:
        key = document_key(change.key)
        if change.row is None:
            return Gone(key=key, cursor=change.cursor)
        record, mark = table.record(change.row), signature(change.row)
        return records.found(self._shape, key, record, mark, change.cursor)

    async def _looks(self) -> AsyncGenerator[Batch]:
        config = self._place.config
        async with self._place.connection() as connection:
            await connection.execute("set default_transaction_read_only = on")
            known: dict[Key, str] | None = None
            while True:
                begun = time.monotonic()
                table = await describe(connection, config.table, config.key, self._fields or None)
                look = await _look(connection, table, config.changed, self._head())
                changes: list[Found | Gone] = [
                    self._listed(connection, table, key, row)
                    for key, row in look.rows.items()
                    if known is None or known.get(key) != look.marks[key]
                ]
                changes += [
                    Gone(key=document_key(key)) for key in known or () if key not in look.rows
                ]
                remark = _without_key(look.keyless)
                yield Batch(changes=changes, complete=known is None, remark=remark)
                known = look.marks
                await asyncio.sleep(max(config.interval, (time.monotonic() - begun) / _SHARE))

    def _head(self) -> list[str]:
        """The columns that say something of a document beside its text."""
        shape = records.Shape(
            title=self._shape.title,
            metadata=self._shape.metadata,
            url=self._shape.url,
            access=self._shape.access,
        )
        return sorted(shape.fields())

    def _listed(self, connection: Connection, table: Table, key: Key, row: Raw) -> Found:
        head, mark = self._head(), (row[len(table.key)] or b"").decode()
        record = table.record(row[len(table.key) + 1 :], head) if head else {}
        found = records.found(self._shape, document_key(key), record, mark)
        return replace(found, read=_Fetch(self, connection, table, key, mark))

    async def read(self, connection: Connection, table: Table, key: Key, mark: str) -> Content:
        """A row's document as it is now.

        Raises:
            FileNotFoundError: the row is gone.
        """
        with self._place.faults():
            rows = await rows_of(connection, table, [key])
        if not rows:
            raise FileNotFoundError(document_key(key))
        found = records.found(self._shape, document_key(key), table.record(rows[0]), mark)
        return await found.read()


@dataclass(frozen=True, slots=True)
class _Fetch:
    """Reads a row when its document is wanted, so that a table need not fit into memory."""

    source: PostgresSource
    connection: Connection
    table: Table
    key: Key
    mark: str

    async def __call__(self) -> Content:
        return await self.source.read(self.connection, self.table, self.key, self.mark)


class PostgresRows:
    """Rows of a table, for a live table.

    Args:
        key: the columns that rows are known by, as the table or the configuration has them.
    """

    def __init__(self, place: Place, key: tuple[str, ...]) -> None:
        config = place.config
        self.interval = config.interval if config.mode == "poll" else None
        self.key = key
        self._place = place

    async def batches(self, cursor: Cursor | None) -> AsyncGenerator[RowBatch]:
        """Yield rows, from the cursor on."""
        looks = self._looks() if self.interval is not None else self._told(cursor)
        async for batch in looks:
            yield batch

    async def forget(self) -> None:
        """Drop what was made on the server."""
        if self.interval is None:
            await dismantle(self._place)

    async def _told(self, cursor: Cursor | None) -> AsyncGenerator[RowBatch]:
        async with opened(self._place, set(), cursor) as log:
            if log.begin is not None:
                async with log.standing() as connection:
                    async for batch in _whole_table(connection, log.table):
                        yield batch
            yield RowBatch(cursor=log.begin, remark=log.remark)
            async for piece in log.pieces():
                yield _batch(log.table, piece, log.remark)

    async def _looks(self) -> AsyncGenerator[RowBatch]:
        config = self._place.config
        async with self._place.connection() as connection:
            await connection.execute("set default_transaction_read_only = on")
            table = await describe(connection, config.table, config.key, None)
            look = await _look(connection, table, config.changed, ())
            async with connection.transaction():
                async for batch in _whole_table(connection, table):
                    yield batch
            while True:
                known, begun = look.marks, time.monotonic()
                table = await describe(connection, config.table, config.key, None)
                look = await _look(connection, table, config.changed, ())
                news = [key for key, mark in look.marks.items() if known.get(key) != mark]
                gone = [table.typed_key(key) for key in known if key not in look.marks]
                upserts: list[Mapping[str, Any]] = []
                for at in range(0, len(news), _ROWS_AT_ONCE):
                    keys = news[at : at + _ROWS_AT_ONCE]
                    upserts += map(table.record, await rows_of(connection, table, keys))
                yield RowBatch(upserts=upserts, deletes=gone, remark=_without_key(look.keyless))
                await asyncio.sleep(max(config.interval, (time.monotonic() - begun) / _SHARE))


async def rows_source(place: Place) -> PostgresRows:
    """A source of a table's rows, once the table has told its key.

    Raises:
        SourceFault: it cannot be reached, or has none.
    """
    async with place.connection() as connection:
        table = await describe(connection, place.config.table, place.config.key, None)
    return PostgresRows(place, table.key)


@dataclass(frozen=True, slots=True)
class _Look:
    rows: dict[Key, Raw]
    marks: dict[Key, str]
    keyless: int


async def _look(
    connection: Connection, table: Table, changed: str, extra: list[str] | tuple[()]
) -> _Look:
    look = _Look({}, {}, 0)
    keyless, width = 0, len(table.key)
    for row in await listing(connection, table, changed, extra):
        key = whole(row[:width])
        if key is None:
            keyless += 1
            continue
        look.rows[key] = row
        look.marks[key] = (row[width] or b"").decode()
    return replace(look, keyless=keyless)


async def _whole_table(connection: Connection, table: Table) -> AsyncGenerator[RowBatch]:
    """Every row: at once, or a large table's in parts of which the first clears what was there."""
    rows: list[Mapping[str, Any]] = []
    is_first = True
    async for page in pages(connection, table):
        rows += map(table.record, page)
        if len(rows) >= _WHOLE:
            yield RowBatch(upserts=rows, complete=is_first)
            rows, is_first = [], False
    if rows or is_first:
        yield RowBatch(upserts=rows, complete=is_first)


def _batch(table: Table, piece: Piece, remark: str) -> RowBatch:
    return RowBatch(
        upserts=[table.record(change.row) for change in piece.changes if change.row is not None],
        deletes=[table.typed_key(change.key) for change in piece.changes if change.row is None],
        cursor=piece.cursor,
        complete=piece.emptied,
        remark=remark,
    )


def document_key(key: Key) -> str:
    """A row's key as a document's: its parts, with commas between."""
    if len(key) == 1:
        return key[0]
    return ",".join(part.replace("\\", "\\\\").replace(",", "\\,") for part in key)


def _without_key(count: int) -> str:
    if not count:
        return ""
    return f"{count} rows without a key were left out. Fill the columns that are the key."


def _remarks(*remarks: str) -> str:
    return " ".join(remark for remark in remarks if remark)
