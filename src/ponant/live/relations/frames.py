"""What the live process and its tables' process say to each other over two pipes."""

from typing import Any

import msgspec

from ponant.live.failure import Failure
from ponant.live.relations.port import Changed

LENGTH = 4  # bytes before each frame


class TablesSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is started with; one JSON line on its standard input.

    Attributes:
        memory: bytes that queries may use.
        seconds: that a query may take.
    """

    folder: str
    memory: int
    seconds: float
    log_level: str = "info"


class Ask(msgspec.Struct, frozen=True):
    """A method of `Workspace` by name."""

    id: int
    workspace_id: str
    method: str
    arguments: dict[str, Any]


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    id: int
    result: bytes = b""  # MessagePack
    failure: Failure | None = None


class Event(msgspec.Struct, frozen=True, tag="event"):
    """A standing query's result changed."""

    changed: Changed


Said = Reply | Event

encode = msgspec.msgpack.Encoder().encode
decode_ask = msgspec.msgpack.Decoder(Ask).decode
decode_said = msgspec.msgpack.Decoder(Said).decode


def frame(message: msgspec.Struct) -> bytes:
    """A message with its length before it."""
    body = encode(message)
    return len(body).to_bytes(LENGTH, "big") + body
