"""Asks the embedder so that a question never waits behind documents."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
import structlog
from numpy.typing import NDArray

from ponant.kit.errors import BadRequest, PonantError, Unavailable
from ponant.live.port import Embedder

BATCH = 8
_QUERY_SECONDS = 3.0
_SHORTEST = 8  # characters; what is refused at this length has no meaning to embed

_log = structlog.get_logger(__name__)

Vector = NDArray[np.float32]


class EmbeddingGate:
    """The way to the embedder: one small batch of passages at a time, questions at once.

    There may be no embedder yet, or none at all; `connected` is set once there is one.
    """

    def __init__(self) -> None:
        self._embedder: Embedder | None = None
        self._questions = 0
        self._no_questions = asyncio.Event()
        self._no_questions.set()
        self._one_batch = asyncio.Lock()
        self.connected = asyncio.Event()

    def connect(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.connected.set()

    @property
    def identity(self) -> str | None:
        return None if self._embedder is None else self._embedder.identity

    @property
    def max_tokens(self) -> int | None:
        return None if self._embedder is None else self._embedder.max_tokens

    async def question(self, text: str) -> Vector | None:
        """A question's vector; None where the embedder does not answer in time."""
        if self._embedder is None:
            return None
        self._questions += 1
        self._no_questions.clear()
        try:
            async with asyncio.timeout(_QUERY_SECONDS):
                vectors = await self._embedder.embed([text], "query")
        except (PonantError, TimeoutError) as e:
            _log.warning("A question was not embedded; keywords alone answer it.", reason=str(e))
            return None
        finally:
            self._questions -= 1
            if not self._questions:
                self._no_questions.set()
        return np.asarray(vectors[0], np.float32)

    async def passages(self, texts: Sequence[str]) -> list[Vector]:
        """Vectors of at most `BATCH` passages, each of length 1.

        Raises:
            Unavailable: there is no embedder, or it does not answer.
        """
        embedder = self._embedder
        if embedder is None:
            raise Unavailable("There is no embedder yet.")
        async with self._one_batch:
            await self._no_questions.wait()
            try:
                return list(await embedder.embed(texts, "passage"))
            except BadRequest:
                return [await _halving(text, embedder) for text in texts]


async def _halving(text: str, embedder: Embedder) -> Vector:
    """A passage's vector; of one that is too long, the mean of its halves'."""
    try:
        return await _one(text, embedder)
    except BadRequest:
        if len(text) <= _SHORTEST:
            return np.zeros_like(await _one("-", embedder))
    middle = len(text) // 2
    mean = await _halving(text[:middle], embedder) + await _halving(text[middle:], embedder)
    length = float(np.linalg.norm(mean))
    return np.asarray(mean / length if length else mean, np.float32)


async def _one(text: str, embedder: Embedder) -> Vector:
    return np.asarray((await embedder.embed([text], "passage"))[0], np.float32)


EmbedderSource = Callable[[], Awaitable[Embedder]]
"""Waits until there is an embedder; raises a PonantError where there will be none for now."""
