"""Follows a PostgreSQL table: each of its rows a row of a live table."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from ponant.live.relations.port import RowBatch
from ponant.live.sources.port import Cursor
from ponant.live.sources.postgres_database import Place
from ponant.live.sources.postgres_log import Piece, dismantle, opened
from ponant.live.sources.postgres_tables import (
    Connection,
    Table,
    describe,
    look_at,
    pages,
    rows_of,
    without_key,
)

_SHARE = 0.1  # of the time at most goes into looking
_WHOLE = 200_000  # rows that replace a table at once; more come in parts
_ROWS_AT_ONCE = 200


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
            look = await look_at(connection, table, config.changed, ())
            async with connection.transaction():
                async for batch in _whole_table(connection, table):
                    yield batch
            while True:
                known, begun = look.marks, time.monotonic()
                table = await describe(connection, config.table, config.key, None)
                look = await look_at(connection, table, config.changed, ())
                news = [key for key, mark in look.marks.items() if known.get(key) != mark]
                gone = [table.typed_key(key) for key in known if key not in look.marks]
                upserts: list[Mapping[str, Any]] = []
                for at in range(0, len(news), _ROWS_AT_ONCE):
                    keys = news[at : at + _ROWS_AT_ONCE]
                    upserts += map(table.record, await rows_of(connection, table, keys))
                yield RowBatch(upserts=upserts, deletes=gone, remark=without_key(look.keyless))
                await asyncio.sleep(max(config.interval, (time.monotonic() - begun) / _SHARE))


async def rows_source(place: Place) -> PostgresRows:
    """A source of a table's rows, once the table has told its key.

    Raises:
        SourceFault: it cannot be reached, or has none.
    """
    async with place.connection() as connection:
        table = await describe(connection, place.config.table, place.config.key, None)
    return PostgresRows(place, table.key)


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
