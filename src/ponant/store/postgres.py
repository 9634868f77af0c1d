"""PostgreSQL as a database of ours: one writer at a time, reads of one state, text without NUL."""

import json
import struct
import zlib
from typing import Any

from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types.string import StrDumper
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from ponant.kit.errors import SetupError

READING = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
"""Options of a transaction that sees one state throughout."""

_DRIVER = "postgresql+psycopg"
_NAMES = frozenset({"postgres", "postgresql", _DRIVER})
_NUL, _INSTEAD = "\x00", "\ufffd"
_CONNECT_SECONDS = 10


def engine(url: str, schema: str) -> Engine:
    """The engine of a server's address.

    Args:
        schema: writes of the same one take turns, also those of other processes.

    Raises:
        SetupError: the address makes no sense.
    """
    if url.partition("://")[0] not in _NAMES:
        raise SetupError("The address of a PostgreSQL database starts with postgresql://.")
    try:
        address = make_url(url).set(drivername=_DRIVER)
    except (ArgumentError, ValueError) as e:
        raise SetupError(
            "The address of the database does not fit: it is "
            "postgresql://user:password@host:5432/name, with signs such as @ or / in the "
            "password written as %40 or %2F."
        ) from e
    made = create_engine(
        address,
        hide_parameters=True,  # the values of a statement that failed may be secrets
        pool_pre_ping=True,  # a server that was started again is no error
        json_serializer=_json,
        connect_args={"connect_timeout": _CONNECT_SECONDS},
    )
    event.listen(made, "connect", _prepare)
    event.listen(made, "begin", _take_turns(lock_key(schema)))
    return made


def lock_key(name: str) -> int:
    """The number of an advisory lock of ours, the same in every process."""
    return zlib.crc32(f"ponant {name}".encode())


def _take_turns(key: int) -> Any:
    statement = f"SELECT pg_advisory_xact_lock({key})"

    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("ponant_mode") in {"write", "soon"}:
            connection.exec_driver_sql(statement)

    return begin


def _prepare(connection: Any, _record: Any) -> None:
    connection.adapters.register_dumper(str, _TextDumper)
    connection.adapters.register_dumper("numpy.ndarray", _VectorDumper)  # imported elsewhere


class _TextDumper(StrDumper):
    """PostgreSQL's text has no NUL, which SQLite's may have."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace(_NUL, _INSTEAD) if _NUL in obj else obj)


class _VectorDumper(Dumper):
    """A float32 array of shape (n,) as the extension vector reads it: n, 0, the numbers."""

    format = Format.BINARY

    def dump(self, obj: Any) -> bytes:
        return struct.pack(">HH", len(obj), 0) + bytes(obj.astype(">f4").tobytes())


def _json(value: Any) -> str:
    written = json.dumps(value)
    if "\\u0000" not in written:
        return written
    return json.dumps(_without_nul(value))


def _without_nul(value: Any) -> Any:
    match value:
        case str():
            return value.replace(_NUL, _INSTEAD)
        case dict():
            return {_without_nul(key): _without_nul(one) for key, one in value.items()}
        case list() | tuple():
            return [_without_nul(one) for one in value]
        case _:
            return value
