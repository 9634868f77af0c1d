"""A PostgreSQL table or view as a source sees it: its columns, its key, its rows as written out."""

import hashlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, time
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import abc, sql
from psycopg.adapt import Transformer
from psycopg.pq import Format

from ponant.live.sources.port import SourceFault

Connection = psycopg.AsyncConnection[Any]

Raw = tuple[bytes | None, ...]
"""A row's values as PostgreSQL writes them out, in the order of its table's columns."""

Key = tuple[str, ...]

# What is of another type, such as a range or a network, is the text that PostgreSQL writes.
_PLAIN = (bool, int, float, str, bytes, Decimal, date, time, list, dict, type(None))
_PAGE = 2000  # rows fetched at once

_TABLE = """
    select c.oid, n.nspname, c.relname, c.relkind, c.relreplident
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.oid = to_regclass(%s)
"""
_COLUMNS = """
    select attname, atttypid from pg_attribute
    where attrelid = %s and attnum > 0 and not attisdropped and attgenerated = ''
    order by attnum
"""
_KEY = """
    select a.attname
    from pg_index i
    cross join unnest(i.indkey) with ordinality as part(number, place)
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = part.number
    where i.indrelid = %s and case when %s then i.indisreplident else i.indisprimary end
    order by part.place
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view.

    Attributes:
        columns: those that are read, with their types' object ids.
        key: the columns that a row is known by.
        identity: how changes name old rows: d(efault), i(ndex), f(ull) or n(othing).
        is_plain: whether rows carry the number of the transaction that wrote them.
    """

    oid: int
    schema: str
    name: str
    columns: tuple[tuple[str, int], ...]
    key: tuple[str, ...]
    identity: str
    is_plain: bool
    _loaders: abc.Transformer = field(default_factory=Transformer, repr=False, compare=False)

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"

    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    def key_of(self, row: Sequence[bytes | None]) -> Key | None:
        """A row's key as text, None where a part of it is missing."""
        values = dict(zip((name for name, _ in self.columns), row, strict=True))
        return whole([values[name] for name in self.key])

    def record(self, row: Raw, names: Sequence[str] | None = None) -> dict[str, Any]:
        """A row's values by their columns' names, in Python's types.

        Args:
            names: the columns that the row has, where these are not the table's.
        """
        kinds = dict(self.columns)
        return {
            name: self._loaded(kinds[name], value)
            for name, value in zip(names or kinds, row, strict=True)
        }

    def typed_key(self, key: Key) -> tuple[Any, ...]:
        """A key's values in Python's types."""
        kinds = dict(self.columns)
        return tuple(
            self._loaded(kinds[name], part.encode())
            for name, part in zip(self.key, key, strict=True)
        )

    def _loaded(self, kind: int, value: bytes | None) -> Any:
        if value is None:
            return None
        try:
            loaded = self._loaders.get_loader(kind, Format.TEXT).load(value)
        except psycopg.DataError:  # such as the end of time, which Python's dates do not reach
            return value.decode(errors="replace")
        return loaded if isinstance(loaded, _PLAIN) else value.decode(errors="replace")


def whole(parts: Sequence[bytes | None]) -> Key | None:
    """A key, unless a part of it is missing."""
    present = tuple(part.decode() for part in parts if part is not None)
    return present if len(present) == len(parts) else None


def signature(row: Raw) -> str:
    """Equal for rows of equal values."""
    digest = hashlib.blake2b(digest_size=16)
    for value in row:
        digest.update(b"\xff" if value is None else len(value).to_bytes(4, "big") + value)
    return digest.hexdigest()


async def describe(
    connection: Connection, name: str, key: Sequence[str], fields: set[str] | None
) -> Table:
    """Find a table by its name as SQL has it.

    Args:
        key: the columns that a row is known by; none for what the table says itself.
        fields: the only columns that are wanted beside the key's; None wants all.

    Raises:
        SourceFault: it is not there, or has no key, or lacks a column.
    """
    found = await (await connection.execute(_TABLE, (name,))).fetchone()
    if found is None:
        raise SourceFault(
            f"There is no table {name} that the user may see. Check its name and schema, as in "
            "public.articles, and that the user has USAGE on the schema."
        )
    oid, schema, table, kind, identity = found
    columns = await (await connection.execute(_COLUMNS, (oid,))).fetchall()
    known = tuple(key) or await _own_key(connection, oid, identity)
    if not known:
        raise SourceFault(
            f"{schema}.{table} has no primary key, so that a changed row cannot be told from a new "
            "one. Add one, or name the columns that tell rows apart in key."
        )
    missing = ({*known} | (fields or set())) - {column for column, _ in columns}
    if missing:
        raise SourceFault(
            f"{schema}.{table} has no column {', '.join(sorted(missing))}. Name those that it has."
        )
    wanted = tuple((c, k) for c, k in columns if fields is None or c in fields or c in known)
    return Table(oid, schema, table, wanted, known, identity, kind in "rp")


async def _own_key(connection: Connection, oid: int, identity: str) -> tuple[str, ...]:
    rows = await (await connection.execute(_KEY, (oid, identity == "i"))).fetchall()
    return tuple(row[0] for row in rows)


async def pages(connection: Connection, table: Table) -> AsyncGenerator[list[Raw]]:
    """Every row, some at a time; to be called in a transaction."""
    query = sql.SQL("declare ponant_rows no scroll cursor for select {} from {}").format(
        _names(table), table.identifier()
    )
    await connection.execute(query)
    while True:
        rows = await _raw(connection, sql.SQL(f"fetch {_PAGE} from ponant_rows"), ())
        if not rows:
            break
        yield rows
    await connection.execute("close ponant_rows")


async def rows_of(connection: Connection, table: Table, keys: Sequence[Key]) -> list[Raw]:
    """The rows of these keys that are there."""
    if not keys:
        return []
    one = sql.SQL("({})").format(
        sql.SQL(" and ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in table.key)
    )
    query = sql.SQL("select {} from {} where {}").format(
        _names(table), table.identifier(), sql.SQL(" or ").join([one] * len(keys))
    )
    return await _raw(connection, query, [part for key in keys for part in key])


async def listing(
    connection: Connection, table: Table, changed: str, extra: Sequence[str] = ()
) -> list[Raw]:
    """Of every row its key, what is another after each change of it, and columns beside.

    Args:
        changed: a column that moves with every change; "" leaves it to PostgreSQL.
    """
    if changed:
        mark: sql.SQL | sql.Composed = sql.SQL("{}::text").format(sql.Identifier(changed))
    elif table.is_plain:
        mark = sql.SQL("xmin::text")
    else:
        mark = sql.SQL("md5(row({})::text)").format(_names(table))
    own = [sql.Identifier(name) for name in table.key]
    beside = [sql.Identifier(name) for name in extra]
    columns = sql.SQL(", ").join([*own, mark, *beside])
    query = sql.SQL("select {} from {}").format(columns, table.identifier())
    return await _raw(connection, query, ())


@dataclass(frozen=True, slots=True)
class Look:
    """What a table held at one look: rows as `listing` gives them, and what tells their changes."""

    rows: dict[Key, Raw]
    marks: dict[Key, str]
    keyless: int


async def look_at(
    connection: Connection, table: Table, changed: str, extra: list[str] | tuple[()]
) -> Look:
    """Look at a whole table; ``keyless`` rows cannot be told apart and are left out."""
    look = Look({}, {}, 0)
    keyless, width = 0, len(table.key)
    for row in await listing(connection, table, changed, extra):
        key = whole(row[:width])
        if key is None:
            keyless += 1
            continue
        look.rows[key] = row
        look.marks[key] = (row[width] or b"").decode()
    return replace(look, keyless=keyless)


def without_key(count: int) -> str:
    """What to say of rows that lack a value in their key."""
    if not count:
        return ""
    return f"{count} rows without a key were left out. Fill the columns that are the key."


async def _raw(
    connection: Connection, query: sql.SQL | sql.Composed, parameters: Sequence[str]
) -> list[Raw]:
    cursor = await connection.execute(query, parameters)
    result = cursor.pgresult
    if result is None:
        return []
    width = range(result.nfields)
    return [
        tuple(result.get_value(row, column) for column in width) for row in range(result.ntuples)
    ]


def _names(table: Table) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name, _ in table.columns)
