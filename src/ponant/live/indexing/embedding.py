"""Asks the embedder so that a question never waits behind documents."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext

import numpy as np
import structlog
from numpy.typing import NDArray

from ponant.kit.errors import BadRequest, PonantError, Unavailable
from ponant.live.port import Embedder

_QUERY_SECONDS = 3.0
_COUNT_SECONDS = 5.0
_TURN_SECONDS = 0.12  # that passages may keep a question waiting
_QUIET_TURN_SECONDS = 0.5  # the same while nobody asks: fewer, fuller turns are faster
_QUIET_SECONDS = 1.0
_QUIET_TURNS = 2  # at a time while nobody asks, so that the embedder always has the next at hand
_MOST_AT_ONCE = 32
_FIRST_RATE = 1e-4  # seconds a character, until it is known better
_LEARNING = 0.3
_REMEMBERED = 512  # questions: one that is kept, or asked page by page, is embedded once
_SHORTEST = 8  # characters; what is refused at this length has no meaning to embed

_log = structlog.get_logger(__name__)

Vector = NDArray[np.float32]


class EmbeddingGate:
    """The way to the embedder: questions at once, passages in short turns between them.

    There may be no embedder yet, or none at all; `connected` is set once there is one.
    """

    def __init__(self) -> None:
        self._embedder: Embedder | None = None
        self._questions = 0
        self._asked = -math.inf
        self._no_questions = asyncio.Event()
        self._no_questions.set()
        self._turns = 0  # that are under way, of passages that nobody waits for
        self._ended = 0.0  # when the last of them did
        self._free = asyncio.Condition()
        self._rate = _FIRST_RATE
        self._known: OrderedDict[tuple[str | None, str], Vector] = OrderedDict()
        self.connected = asyncio.Event()

    def connect(self, embedder: Embedder) -> None:
        if embedder.identity != self.identity:
            self._known.clear()
        self._embedder = embedder
        self.connected.set()

    @property
    def identity(self) -> str | None:
        return None if self._embedder is None else self._embedder.identity

    @property
    def max_tokens(self) -> int | None:
        return None if self._embedder is None else self._embedder.max_tokens

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as the embedder counts them; none where it does not answer."""
        if self._embedder is None:
            return []
        try:
            async with asyncio.timeout(_COUNT_SECONDS):
                return await self._embedder.count_tokens(texts)
        except (PonantError, TimeoutError) as e:
            _log.info("Passages are cut by estimate alone.", reason=str(e))
            return []

    async def question(self, text: str, workspace_id: str | None = None) -> Vector | None:
        """A question's vector; None where the embedder does not answer in time.

        It is remembered for its workspace alone: how fast an answer comes tells nobody what others
        ask.
        """
        embedder = self._embedder
        if embedder is None:
            return None
        self._asked = time.monotonic()
        key = workspace_id, text
        if (known := self._known.get(key)) is not None:
            self._known.move_to_end(key)
            return known
        self._questions += 1
        self._no_questions.clear()
        try:
            async with asyncio.timeout(_QUERY_SECONDS):
                vectors = await embedder.embed([text], "query")
        except (PonantError, TimeoutError) as e:
            _log.warning("A question was not embedded; keywords alone answer it.", reason=str(e))
            return None
        finally:
            self._questions -= 1
            if not self._questions:
                self._no_questions.set()
        vector = np.array(vectors[0], np.float32)
        if embedder.identity == self.identity:
            vector.flags.writeable = False
            self._known[key] = vector
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return vector

    async def passages(self, texts: Sequence[str]) -> list[Vector]:
        """Vectors of passages, each of length 1.

        Raises:
            Unavailable: there is no embedder, or it does not answer.
        """
        return [vector async for turn in self.turns(texts) for vector in turn]

    async def turns(
        self, texts: Sequence[str], *, urgent: bool = False
    ) -> AsyncGenerator[list[Vector]]:
        """The same turn by turn, so that a caller may stop in between.

        Args:
            urgent: do not wait for the turn that is under way: somebody has just saved a file.

        Raises:
            Unavailable: there is no embedder, or it does not answer.
        """
        embedder, done = self._embedder, 0
        if embedder is None:
            raise Unavailable("There is no embedder yet.")
        while done < len(texts):
            async with nullcontext() if urgent else self._turn():
                some = texts[done : done + self._fitting(texts[done:], urgent=urgent)]
                begun = time.monotonic()
                vectors = await _embedded(some, embedder)
                # One that was asked for while another was under way had to wait for that.
                begun = begun if urgent else max(begun, self._ended)
                self._learn(sum(map(len, some)), time.monotonic() - begun)
            done += len(some)
            yield vectors

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """A turn of passages: one at a time where people ask, none while a question is asked."""
        async with self._free:
            await self._free.wait_for(self._has_room)
            self._turns += 1
        try:
            await self._no_questions.wait()
            yield
        finally:
            self._ended = time.monotonic()
            self._turns -= 1
            async with self._free:
                self._free.notify_all()

    def _has_room(self) -> bool:
        return self._turns < (_QUIET_TURNS if self._is_quiet() else 1)

    def _is_quiet(self) -> bool:
        return time.monotonic() - self._asked > _QUIET_SECONDS

    def _fitting(self, texts: Sequence[str], *, urgent: bool) -> int:
        """How many texts one turn takes; at least one.

        Who is in a hurry gives up when it takes too long, and what was asked for is then lost: so
        it asks for little.
        """
        total = 0
        seconds = _QUIET_TURN_SECONDS if self._is_quiet() and not urgent else _TURN_SECONDS
        for number, text in enumerate(texts[:_MOST_AT_ONCE]):
            total += len(text)
            if total * self._rate > seconds:
                return max(1, number)
        return min(len(texts), _MOST_AT_ONCE)

    def _learn(self, characters: int, seconds: float) -> None:
        rate = seconds / max(1, characters)
        self._rate += _LEARNING * (rate - self._rate)


async def _embedded(texts: Sequence[str], embedder: Embedder) -> list[Vector]:
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
