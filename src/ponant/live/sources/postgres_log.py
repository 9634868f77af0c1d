"""A PostgreSQL table by its log: what it held when the slot was made, then each change since.

A position is confirmed to the server only once the cursor that names it is stored, so what a crash
leaves half done is sent again. The cursor counts within a transaction too (``done`` changes of the
one that follows ``lsn``): what is stored is not told twice, and no row goes back to an older state.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from psycopg import errors, sql

from ponant.live.sources import pgoutput
from ponant.live.sources.port import Cursor, SourceFault
from ponant.live.sources.postgres_database import Place
from ponant.live.sources.postgres_stream import Stream, number, written
from ponant.live.sources.postgres_tables import Connection, Key, Raw, Table, describe, rows_of

_WAIT_SECONDS = 1.0
_IDLE_SECONDS = 10.0  # until a position is stored that only other tables moved
_TRIES = 30  # a tenth of a second apart, until a slot is free
_LAG_SECONDS = 5.0
_LAG_BYTES = 64 * 2**20  # that the slot holds back before it is told

_SLOT = """
    select active_pid, confirmed_flush_lsn::text, coalesce(wal_status, '') = 'lost'
    from pg_replication_slots where slot_name = %s
"""
_LAG = """
    select pg_current_wal_lsn() - confirmed_flush_lsn from pg_replication_slots where slot_name = %s
"""
_PUBLISHED = """
    select exists (select from pg_publication where pubname = %(name)s),
        exists (
            select from pg_publication_tables
            where pubname = %(name)s and schemaname = %(schema)s and tablename = %(table)s
        )
"""


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row as it is now; None where it went."""

    key: Key
    row: Raw | None
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the log, the last change of each key alone; ``emptied`` comes by itself."""

    changes: list[RowChange]
    cursor: Cursor
    emptied: bool = False


@dataclass(slots=True)
class _Position:
    """Where the log was read to: so many changes after the end of a transaction."""

    end: int
    done: int = 0
    skip: int = 0  # changes that were stored before we began
    inside: bool = False

    def cursor(self) -> Cursor:
        return {"lsn": written(self.end), "done": self.done}


class Log:
    """An opened log.

    Attributes:
        table: as it is now; another after it was altered.
        begin: the cursor of what the table holds, which is to be read before changes; None where a
            stored cursor goes on.
        remark: what was wrong with that cursor, or how much the slot holds back.
    """

    def __init__(
        self, place: Place, connection: Connection, stream: Stream, table: Table, fields: set[str]
    ) -> None:
        self.table = table
        self.begin: Cursor | None = None
        self.remark = ""
        self._snapshot = ""
        self._place = place
        self._connection = connection
        self._stream = stream
        self._fields = fields
        self._position = _Position(0)
        self._measured = 0.0
        self._picked: list[int] = []

    async def prepare(self, cursor: Cursor | None) -> None:
        """Find or make publication and slot; decide whether the table is to be read anew."""
        await self._publish()
        name = self._place.slot
        found = await (await self._connection.execute(_SLOT, (name,))).fetchone()
        if (
            found is not None
            and found[0] is not None
            and not await _is_free(self._connection, name)
        ):
            raise SourceFault(
                f"The replication slot {name} is in use by another. Give this source its own."
            )
        if found is not None and cursor is not None and not found[2]:
            if number(found[1]) <= number(cursor["lsn"]):
                self._position = _Position(number(cursor["lsn"]), 0, cursor.get("done", 0))
                return
            self.remark = "The slot went on without us, so the table was read anew."
        elif cursor is not None:
            self.remark = "The replication slot was lost, so the table was read anew."
        await self._anew(
            name, found[1] if found is not None else None, is_lost=bool(found and found[2])
        )

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[Connection]:
        """A transaction that sees the table as it was where the log begins."""
        async with self._connection.transaction():
            await self._connection.execute(
                "set transaction isolation level repeatable read, read only"
            )
            if self._snapshot:
                await self._connection.execute(
                    sql.SQL("set transaction snapshot {}").format(sql.Literal(self._snapshot))
                )
            yield self._connection

    async def has_rows(self) -> bool:
        """Whether the table holds any row now."""
        query = sql.SQL("select exists (select from {})").format(self.table.identifier())
        row = await (await self._connection.execute(query)).fetchone()
        return bool(row and row[0])

    async def pieces(self) -> AsyncGenerator[Piece]:
        """Yield what changes; the next is asked for once the last is stored."""
        place, position = self._place, self._position
        await self._stream.start(place.slot, place.publication, position.end)
        pending: list[RowChange] = []
        last = time.monotonic()
        while True:
            messages = await self._stream.messages(_WAIT_SECONDS)
            moved = False
            for data in messages:
                message = pgoutput.decode(data)
                if isinstance(message, pgoutput.Truncate) and self._counts(message):
                    yield Piece(_last_of_each(pending), position.cursor())
                    pending = []
                    yield Piece([], position.cursor(), emptied=True)
                else:
                    pending.extend(await self._read(message))
                if len(pending) >= place.config.batch:
                    yield Piece(_last_of_each(pending), position.cursor())
                    self._stream.stored(position.end)
                    pending = []
                moved = moved or isinstance(message, pgoutput.Commit)
            if not messages and self._went_on(last):
                position.end, moved = self._stream.heard, True
            if pending or (moved and time.monotonic() - last > _IDLE_SECONDS):
                await self._measure()
                yield Piece(_last_of_each(pending), position.cursor())
                self._stream.stored(position.end)
                pending, last = [], time.monotonic()

    def _went_on(self, last: float) -> bool:
        """Whether the server has come further without anything for us, for a while."""
        position = self._position
        is_between = not position.inside and not position.skip
        return (
            is_between
            and self._stream.heard > position.end
            and time.monotonic() - last > _IDLE_SECONDS
        )

    def _counts(self, message: pgoutput.Truncate) -> bool:
        """Count an emptied table, and tell whether it is ours and news."""
        if self.table.oid not in message.relations:
            return False
        return self._count()

    def _count(self) -> bool:
        position = self._position
        position.done += 1
        if position.done <= position.skip:
            return False
        position.skip = 0
        return True

    async def _read(self, message: pgoutput.Message | None) -> list[RowChange]:
        position = self._position
        match message:
            case pgoutput.Begin():
                position.inside = True
            case pgoutput.Commit():
                position.end, position.done, position.skip = message.end, 0, 0
                position.inside = False
            case pgoutput.Relation() if message.oid == self.table.oid:
                self._alter(message)
            case pgoutput.Change() if message.relation == self.table.oid and self._count():
                return await self._changed(message)
        return []

    def _alter(self, relation: pgoutput.Relation) -> None:
        own = {*self._fields, *self.table.key} if self._fields else None
        columns = tuple(c for c in relation.columns if own is None or c[0] in own)
        missing = {*self.table.key} - {name for name, _ in columns}
        if missing:
            raise SourceFault(
                f"{self.table.full_name} no longer has the column {', '.join(missing)}, which told "
                "its rows apart. Set the source up anew."
            )
        self.table = replace(self.table, columns=columns)
        names = [name for name, _ in relation.columns]
        self._picked = [names.index(name) for name, _ in columns]

    async def _changed(self, change: pgoutput.Change) -> list[RowChange]:
        cursor = self._position.cursor()
        old = self._key(change.old)
        if change.new is None:
            return [RowChange(old, None, cursor)] if old is not None else []
        new = self._key(change.new)
        if new is None:
            return []
        changes = [RowChange(new, await self._whole(new, change.new), cursor)]
        if old is not None and old != new:
            changes.insert(0, RowChange(old, None, cursor))
        return changes

    def _key(self, values: tuple[pgoutput.Value, ...] | None) -> Key | None:
        if values is None:
            return None
        picked = [values[at] for at in self._picked]
        return self.table.key_of([v if isinstance(v, bytes) else None for v in picked])

    async def _whole(self, key: Key, values: tuple[pgoutput.Value, ...]) -> Raw | None:
        """The row; where long values were not sent because they are as before, as it is now."""
        row: list[bytes | None] = []
        for at in self._picked:
            value = values[at]
            if isinstance(value, pgoutput.Unchanged):
                rows = await rows_of(self._connection, self.table, [key])
                return rows[0] if rows else None
            row.append(value)
        return tuple(row)

    async def _publish(self) -> None:
        place, table = self._place, self.table
        if table.identity == "n":
            raise SourceFault(
                f"{table.full_name} does not say which row was changed. Run: ALTER TABLE "
                f"{table.full_name} REPLICA IDENTITY DEFAULT"
            )
        names = {"name": place.publication, "schema": table.schema, "table": table.name}
        row = await (await self._connection.execute(_PUBLISHED, names)).fetchone()
        exists, has_table = row or (False, False)
        if has_table:
            return
        if exists or place.config.publication:
            raise SourceFault(
                f"The publication {place.publication} does not hold {table.full_name}. Run: ALTER "
                f"PUBLICATION {place.publication} ADD TABLE {table.full_name}"
            )
        await self._make_publication()

    async def _make_publication(self) -> None:
        place, table = self._place, self.table
        statement = "create publication {} for table {} with (publish_via_partition_root = true)"
        try:
            await self._connection.execute(
                sql.SQL(statement).format(sql.Identifier(place.publication), table.identifier())
            )
        except errors.InsufficientPrivilege as e:
            raise SourceFault(
                f"{place.config.user} may not publish {table.full_name}. Have its owner run: "
                f"CREATE PUBLICATION ponant FOR TABLE {table.full_name}; and set publication to "
                'ponant. Or set mode to "poll".'
            ) from e

    async def _anew(self, name: str, confirmed: str | None, *, is_lost: bool) -> None:
        """Begin where the table is read whole: at a new slot, or at the one that was given."""
        if confirmed is not None and self._place.config.slot and not is_lost:
            # What changed since the slot was made comes again, in the order that it had.
            self._position = _Position(number(confirmed))
        else:
            if confirmed is not None:
                await self._stream.drop_slot(name)
            begin, self._snapshot = await self._stream.make_slot(name)
            self._position = _Position(begin)
        self.begin = self._position.cursor()

    async def _measure(self) -> None:
        """Say how much of its log the server keeps for us, once that is much."""
        if time.monotonic() - self._measured < _LAG_SECONDS:
            return
        self._measured = time.monotonic()
        row = await (await self._connection.execute(_LAG, (self._place.slot,))).fetchone()
        lag = int(row[0] or 0) if row is not None else 0
        self.remark = (
            f"The server keeps {lag // 2**20} MiB of its log for this source."
            if lag > _LAG_BYTES
            else ""
        )


@asynccontextmanager
async def opened(place: Place, fields: set[str], cursor: Cursor | None) -> AsyncIterator[Log]:
    """The log of a place's table.

    Args:
        fields: the only columns that are wanted beside the key's; none wants all.

    Raises:
        SourceFault: it cannot be had; the message says what to do.
    """
    config = place.config
    async with place.connection() as connection:
        table = await describe(connection, config.table, config.key, fields or None)
        stream = await Stream.open(await place.conninfo(replication="database"))
        try:
            log = Log(place, connection, stream, table, fields)
            await log.prepare(cursor)
            yield log
        finally:
            await stream.close()


async def dismantle(place: Place) -> None:
    """Drop what was made on the server for a source that is no more.

    Raises:
        SourceFault: the server cannot be reached.
    """
    config = place.config
    async with place.connection() as connection:
        if not config.slot and await _is_free(connection, place.slot):
            await connection.execute(
                "select pg_drop_replication_slot(slot_name) from pg_replication_slots "
                "where slot_name = %s",
                (place.slot,),
            )
        if not config.publication:
            await connection.execute(
                sql.SQL("drop publication if exists {}").format(sql.Identifier(place.publication))
            )


async def _is_free(connection: Connection, slot: str) -> bool:
    """Whether a slot is let go of soon, as one is that a closed connection of ours held."""
    query = "select active_pid, pg_sleep(0.1) from pg_replication_slots where slot_name = %s"
    for _ in range(_TRIES):
        row = await (await connection.execute(query, (slot,))).fetchone()
        if row is None or row[0] is None:
            return True
    return False


def _last_of_each(changes: list[RowChange]) -> list[RowChange]:
    """What a later change of the same row replaces is not worth a document."""
    last = {change.key: change for change in changes}
    return [change for change in changes if last[change.key] is change]
