"""What the platform and its workers say to each other: msgspec structs as MessagePack.

The platform asks with one `Ask` a message; a worker answers with lists of `Tell`, those that wait
together in one message. The first is `Loaded` or `Failed`, as soon as that is known.
"""

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ponant.engine import EngineInfo, Event, Request


class WorkerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker loads, and how.

    Attributes:
        backend: ``echo``, ``native``, ``llamacpp``, ``encoder`` or ``reranker``.
        path: the weights; empty for echo.
        cache: folder for what is slow to derive from the weights.
        prompts: what an encoder puts before a text, by the kind of text.
        memory: bytes that the model may take; 0 is what is free.
        turns: file by which workers take turns at the cores; empty where they take none.
        queue: requests that may wait for it; 0 sets no bound.
        queue_tokens: tokens of their prompts together; 0 sets no bound.
        spill: bytes of cached prompts to keep on disk under ``cache``.
        drafts: whether an engine that can guess ahead may.
        rate: tokens a second that echo writes of each answer; 0 is as fast as it can.
    """

    backend: Literal["echo", "native", "llamacpp", "encoder", "reranker"]
    path: str = ""
    cache: str = ""
    prompts: dict[str, str] = {}
    context_length: int = 8192
    threads: int = 1
    memory: int = 0
    turns: str = ""
    queue: int = 0
    queue_tokens: int = 0
    spill: int = 0
    drafts: bool = True
    rate: float = 0.0
    log_level: str = "info"

    @property
    def weights(self) -> Path:
        return Path(self.path)


class Generate(msgspec.Struct, frozen=True, tag="generate"):
    request: Request


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    id: str


class Forget(msgspec.Struct, frozen=True, tag="forget"):
    """What prompts held under these tags is to be dropped."""

    names: list[str]


class Embed(msgspec.Struct, frozen=True, tag="embed"):
    """Texts to embed; ``kind`` says which of the model's prompts goes before them."""

    id: str
    texts: list[str]
    kind: str


class Rerank(msgspec.Struct, frozen=True, tag="rerank"):
    """Texts to score, each for how well it answers the query."""

    id: str
    query: str
    texts: list[str]


class Tokenize(msgspec.Struct, frozen=True, tag="tokenize"):
    id: str
    text: str


class Loaded(msgspec.Struct, frozen=True, kw_only=True, tag="loaded"):
    """The model is there: ``info`` of an engine, or an encoder's measures."""

    info: EngineInfo | None = None
    dimension: int = 0
    max_tokens: int = 0


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The model cannot be loaded; ``message`` is a sentence for people. The worker ends."""

    message: str


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """A request that the model does not take."""

    id: str
    message: str


class Busy(msgspec.Struct, frozen=True, tag="busy"):
    """A request for which there is no place in the queue; there will be one after some seconds."""

    id: str
    message: str
    retry_after: float


class TooLong(msgspec.Struct, frozen=True, tag="too-long"):
    """Texts that are not embedded, for the one at ``place`` has too many tokens."""

    id: str
    place: int
    tokens: int


class Happened(msgspec.Struct, frozen=True, tag="happened"):
    event: Event


class Vectors(msgspec.Struct, frozen=True, tag="vectors"):
    """Embeddings as float32 bytes in row-major order; ``tokens`` were read for them."""

    id: str
    rows: int
    data: bytes
    tokens: int

    def array(self) -> NDArray[np.float32]:
        """Array of shape (rows, dimension)."""
        return np.frombuffer(self.data, np.float32).reshape(self.rows, -1)


class Scores(msgspec.Struct, frozen=True, tag="scores"):
    """Relevances from 0 to 1, one a text; ``tokens`` were read for them."""

    id: str
    scores: list[float]
    tokens: int


class Tokens(msgspec.Struct, frozen=True, tag="tokens"):
    id: str
    ids: list[int]


Ask = Generate | Cancel | Forget | Embed | Rerank | Tokenize
Tell = Loaded | Failed | Refused | Busy | TooLong | Happened | Vectors | Scores | Tokens

encode = msgspec.msgpack.Encoder().encode
decode_ask = msgspec.msgpack.Decoder(Ask).decode
decode_tells = msgspec.msgpack.Decoder(list[Tell]).decode


def carried(text: str) -> str:
    """The text with U+FFFD for each lone surrogate, which JSON may hold and no encoding carries."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
