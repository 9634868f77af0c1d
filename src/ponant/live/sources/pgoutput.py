"""Reads what PostgreSQL's plugin ``pgoutput`` writes: its logical replication protocol, version 1.

The messages are described in PostgreSQL's manual, chapter "Logical Replication Message Formats".
"""

import struct
from dataclasses import dataclass


class Unchanged:
    """Stands for a long value that an update left alone, and that was therefore not sent."""


UNCHANGED = Unchanged()

Value = bytes | Unchanged | None
"""A column's value as PostgreSQL writes it out; None is NULL."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table as the next changes have it; told before the first and after it was altered.

    Attributes:
        columns: names and types' object ids.
        identity: which columns an old row comes with.
    """

    oid: int
    schema: str
    name: str
    columns: tuple[tuple[str, int], ...]
    identity: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Begin:
    """A transaction's start. They come whole, one after the other, in the order of their ends."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A transaction's end; what follows it begins at ``end``."""

    end: int


@dataclass(frozen=True, slots=True)
class Change:
    """A row that came (no ``old``), changed, or went (no ``new``).

    Attributes:
        old: the values of the identity where they are others than before; the rest is None.
    """

    relation: int
    old: tuple[Value, ...] | None
    new: tuple[Value, ...] | None


@dataclass(frozen=True, slots=True)
class Truncate:
    """Tables that were emptied at once."""

    relations: tuple[int, ...]


Message = Relation | Begin | Commit | Change | Truncate


def decode(data: bytes) -> Message | None:
    """One message; None for those that tell nothing about rows."""
    reader = _Reader(data, 1)
    match data[:1]:
        case b"B":
            return Begin()
        case b"C":
            reader.skip(1 + 8)
            return Commit(reader.number(8))
        case b"R":
            return _relation(reader)
        case b"I" | b"U" | b"D":
            return _change(reader)
        case b"T":
            count = reader.number(4)
            reader.skip(1)
            return Truncate(tuple(reader.number(4) for _ in range(count)))
    return None


class _Reader:
    """Takes values off the front."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def skip(self, count: int) -> None:
        self._at += count

    def take(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        if len(part) != count:
            raise struct.error("a message ends too early")
        self._at += count
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def text(self) -> str:
        end = self._data.index(b"\0", self._at)
        part = self._data[self._at : end]
        self._at = end + 1
        return part.decode()

    @property
    def is_done(self) -> bool:
        return self._at >= len(self._data)


def _relation(reader: _Reader) -> Relation:
    oid, schema, name = reader.number(4), reader.text(), reader.text()
    reader.skip(1)
    columns: list[tuple[str, int]] = []
    identity: list[str] = []
    for _ in range(reader.number(2)):
        in_identity, column, kind = reader.number(1), reader.text(), reader.number(4)
        reader.skip(4)
        columns.append((column, kind))
        if in_identity:
            identity.append(column)
    return Relation(oid, schema or "pg_catalog", name, tuple(columns), tuple(identity))


def _change(reader: _Reader) -> Change:
    relation = reader.number(4)
    old = new = None
    while not reader.is_done:
        if reader.take(1) == b"N":
            new = _tuple(reader)
        else:  # K: the identity alone; O: the whole old row
            old = _tuple(reader)
    return Change(relation, old, new)


def _tuple(reader: _Reader) -> tuple[Value, ...]:
    return tuple(_value(reader) for _ in range(reader.number(2)))


def _value(reader: _Reader) -> Value:
    match reader.take(1):
        case b"n":
            return None
        case b"u":
            return UNCHANGED
    return reader.take(reader.number(4))
