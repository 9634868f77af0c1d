"""Follows a PostgreSQL table: each row a document, or each a row of a live table."""

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from ponant.live.sources import records
from ponant.live.sources.kind import Context, Kind, Secrets, own_files_only, secret
from ponant.live.sources.port import Batch, Content, Cursor, Found, Gone
from ponant.live.sources.postgres_database import Place, PostgresConfig
from ponant.live.sources.postgres_log import Log, RowChange, dismantle, opened
from ponant.live.sources.postgres_tables import (
    Connection,
    Key,
    Raw,
    Table,
    describe,
    look_at,
    pages,
    rows_of,
    signature,
    without_key,
)

_SHARE = 0.1  # of the time at most goes into looking
_WHOLE = 200_000  # rows that replace a table at once; more come in parts
_ROWS_AT_ONCE = 200


class PostgresSource:
    """Documents of a table; keys are the rows' own, as text."""

    def __init__(self, place: Place) -> None:
        config = place.config
        self.interval = config.interval if config.mode == "poll" else None
        self._place = place
        self._empty = f"{config.table} holds no rows that the user may see. Check that it is right."
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
                remark = _remarks(log.remark, without_key(keyless))
                yield Batch(
                    changes=changes,
                    complete=True,
                    cursor=log.begin,
                    remark=remark,
                    empty=self._empty,
                )
            else:
                is_empty = not await log.has_rows()
                yield Batch(changes=(), complete=is_empty, remark=log.remark, empty=self._empty)
            async for piece in log.pieces():
                changes = [self._change(log.table, change) for change in piece.changes]
                yield Batch(
                    changes=changes,
                    complete=piece.emptied,
                    cursor=piece.cursor,
                    remark=log.remark,
                    empty=self._empty,
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
                look = await look_at(connection, table, config.changed, self._head())
                changes: list[Found | Gone] = [
                    Gone(key=document_key(key)) for key in known or () if key not in look.rows
                ]
                changes += [
                    self._listed(connection, table, key, row)
                    for key, row in look.rows.items()
                    if known is None or known.get(key) != look.marks[key]
                ]
                yield Batch(
                    changes=changes,
                    complete=known is None or not look.rows,
                    remark=without_key(look.keyless),
                    empty=self._empty,
                    seen=len(look.rows),
                )
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


def document_key(key: Key) -> str:
    """A row's key as a document's: its parts, with commas between."""
    if len(key) == 1:
        return key[0]
    return ",".join(part.replace("\\", "\\\\").replace(",", "\\,") for part in key)


def _remarks(*remarks: str) -> str:
    return " ".join(remark for remark in remarks if remark)


def _checked(config: PostgresConfig, context: Context) -> PostgresConfig:
    own_files_only(context, ca=config.ca)
    context.network.check(config.host, config.port)
    return config


def _open(config: PostgresConfig, secrets: Secrets, context: Context) -> PostgresSource:
    password = secret(config, secrets, "password") or ""
    return PostgresSource(Place(config, password, context.source_id, context.network))


KIND = Kind(
    name="postgres",
    config=PostgresConfig,
    open=_open,
    check=_checked,
    reaches="network",
    hint=(
        '{"host": "…", "database": "…", "user": "…", "table": "public.articles"} with the secret '
        "password: rows of a PostgreSQL table"
    ),
    secrets=("password",),
    signs_in_as=("user",),
    title=lambda config: f"{config.host}/{config.database}/{config.table}",
)
