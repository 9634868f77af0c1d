"""What the live process and its clients say to each other: msgspec structs as MessagePack.

A client calls, subscribes to changes, and may offer an embedder, which the process then asks.
"""

from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ponant.kit import PonantError
from ponant.kit.errors import Unavailable
from ponant.live.port import Change, Notice
from ponant.store import Scope


class LiveSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a live process is started with; one JSON line on its standard input."""

    home: str
    roots: list[str]
    endpoint: str
    log_level: str = "info"
    networks: list[str] = []
    tables_memory: int = 512  # MiB


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


class Failure(msgspec.Struct, frozen=True):
    """A PonantError on its way to who asked."""

    kind: str
    message: str
    param: str | None = None
    retry_after: float | None = None

    @classmethod
    def of(cls, error: PonantError) -> "Failure":
        return cls(type(error).__name__, error.message, error.param, error.retry_after)

    def error(self) -> PonantError:
        """The same error again; of a kind unknown here, the nearest."""
        kinds = {kind.__name__: kind for kind in _kinds(PonantError)}
        kind = kinds.get(self.kind, Unavailable)
        return kind(self.message, param=self.param, retry_after=self.retry_after)


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


def _kinds(kind: type[PonantError]) -> list[type[PonantError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _kinds(child))]
