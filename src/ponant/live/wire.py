"""What the live process and its clients say to each other: msgspec structs as MessagePack.

A client calls, subscribes to changes, and may offer an embedder, which the process then asks.
"""

from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ponant.live.failure import Failure
from ponant.live.port import Change, Notice
from ponant.store import Scope


class LiveSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a live process is started with; one JSON line on its standard input."""

    home: str
    roots: list[str]
    endpoint: str
    log_level: str = "info"
    networks: list[str] = []
    brokers: list[str] = []
    tables_memory: int = 512  # MiB
    secrets_key: str | None = None
    database_url: str = ""  # a file in the home where empty
    vectors: str = "auto"  # where they are compared


class Call(msgspec.Struct, frozen=True, tag="call"):
    """A method of `Knowledge` by name."""

    id: int
    method: str
    scope: Scope
    arguments: dict[str, Any]


class Subscribe(msgspec.Struct, frozen=True, tag="subscribe"):
    """The client wants to be told of every change."""


class Offer(msgspec.Struct, frozen=True, tag="offer"):
    """The client has an embedder."""

    identity: str
    max_tokens: int


class Vectors(msgspec.Struct, frozen=True, tag="vectors"):
    """Embeddings as float32 bytes in row-major order."""

    id: int
    rows: int
    data: bytes

    def array(self) -> NDArray[np.float32]:
        """Array of shape (rows, dimension)."""
        return np.frombuffer(self.data, np.float32).reshape(self.rows, -1)


class Counted(msgspec.Struct, frozen=True, tag="counted"):
    id: int
    counts: list[int]


class NotEmbedded(msgspec.Struct, frozen=True, tag="not_embedded"):
    id: int
    failure: Failure


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    """A method's result, or why there is none."""

    id: int
    result: bytes = b""  # MessagePack
    failure: Failure | None = None


class Told(msgspec.Struct, frozen=True, tag="told"):
    change: Change


class Noticed(msgspec.Struct, frozen=True, tag="noticed"):
    notice: Notice


class Embed(msgspec.Struct, frozen=True, tag="embed"):
    id: int
    texts: list[str]
    kind: Literal["query", "passage"]


class Count(msgspec.Struct, frozen=True, tag="count"):
    """How many tokens has each text?"""

    id: int
    texts: list[str]


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """Answers `Subscribe`: the process serves."""


Ask = Call | Subscribe | Offer | Vectors | NotEmbedded | Counted
Tell = Reply | Told | Noticed | Embed | Ready | Count

encode = msgspec.msgpack.Encoder().encode
decode_ask = msgspec.msgpack.Decoder(Ask).decode
decode_tell = msgspec.msgpack.Decoder(Tell).decode
