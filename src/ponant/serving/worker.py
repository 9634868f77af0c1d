"""The process that holds one loaded model: ``python -m ponant.serving.worker``.

The first line on its standard input is a `WorkerSpec` as JSON. Standard input then stays open as a
lifeline: when it ends, whoever started the worker is gone, and so is the worker. The last argument
is the number of the inherited socket over which it is asked.
"""

import asyncio
import gc
import os
import socket
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import numpy as np
import structlog
import uvloop

from ponant.engine import Engine, Event, QueueFull, Request
from ponant.kit import PonantError
from ponant.serving import wire
from ponant.serving.background import Background
from ponant.serving.encoding import (
    BATCH_TOKENS,
    TextEncoder,
    TextReranker,
    TextTooLongError,
    batches,
)
from ponant.serving.joining import joined
from ponant.serving.line import Line
from ponant.serving.link import linked
from ponant.serving.loading import open_encoder, open_engine, open_reranker
from ponant.serving.memory import hold_to_memory
from ponant.serving.turns import Turns
from ponant.serving.wire import WorkerSpec

_ENCODER_NICENESS = 5  # embedding yields to chat where both want the same cores
_BACKGROUND_TOKENS = 512  # of a batch of passages, which holds up whoever chats
_QUESTION, _EDIT, _SYNC = range(3)  # who goes first at the encoder: a search waits, a person looks
_log = structlog.get_logger(__name__)


class Worker:
    """Answers the platform with an engine or an encoder.

    Args:
        engine: what generates, or None.
        encoder: what embeds or reranks, or None.
        turns: at the cores, for what embeds; None takes none.
    """

    def __init__(
        self,
        engine: Engine | None,
        encoder: TextEncoder | TextReranker | None,
        turns: Turns | None = None,
    ) -> None:
        self._engine = engine
        self._encoder = encoder
        self._loop = asyncio.get_running_loop()
        self._outbox: deque[wire.Tell] = deque()
        self._news_told = False
        self._send: Callable[[bytes], None] = lambda _: None
        self._tasks = asyncio.TaskGroup()
        # Generations on their way in, and texts being embedded: cancelled meanwhile?
        self._cancelled: dict[str, bool] = {}
        self._encoding = Line()
        self._passages = Background(turns)

    async def serve(self, end: socket.socket) -> None:
        """Answer what comes over a socket until that ends."""
        async with self._tasks:
            link = await linked(end, self._hear)
            self._send = link.send
            self._tell(self._loaded())
            await link.lost

    def _hear(self, message: bytearray) -> None:
        match wire.decode_ask(message):
            case wire.Generate(request) if request.grammar is None:
                self._submit(request)
            case wire.Generate(request):
                self._cancelled[request.id] = False
                self._tasks.create_task(self._generate(request))
            case wire.Cancel(request_id):
                self._cancel(request_id)
            case wire.Forget(names):
                if self._engine is not None:
                    self._engine.forget(names)
            case wire.Embed() as ask:
                self._cancelled[ask.id] = False
                self._tasks.create_task(self._embed(ask))
            case wire.Rerank() as ask:
                self._cancelled[ask.id] = False
                self._tasks.create_task(self._rerank(ask))
            case wire.Tokenize() as ask:
                self._tasks.create_task(self._tokenize(ask))

    def _loaded(self) -> wire.Loaded:
        if self._engine is not None:
            return wire.Loaded(info=self._engine.info)
        match self._encoder:
            case TextEncoder() as encoder:
                return wire.Loaded(dimension=encoder.dimension, max_tokens=encoder.max_tokens)
            case TextReranker() as reranker:
                return wire.Loaded(max_tokens=reranker.max_tokens)
        return wire.Loaded()

    async def _generate(self, request: Request) -> None:
        """Submit in a thread, since a grammar is compiled on the way in."""
        await asyncio.to_thread(self._submit, request)
        if self._cancelled.pop(request.id) and self._engine is not None:
            self._engine.cancel(request.id)

    def _submit(self, request: Request) -> None:
        def emit(event: Event) -> None:
            self._tell(wire.Happened(event))

        if self._engine is None:
            self._tell(wire.Refused(request.id, "This model does not generate."))
            return
        try:
            self._engine.submit(request, emit)
        except QueueFull as e:
            self._tell(wire.Busy(request.id, str(e), e.retry_after))
        except ValueError as e:
            self._tell(wire.Refused(request.id, str(e)))

    def _cancel(self, request_id: str) -> None:
        if request_id in self._cancelled:
            self._cancelled[request_id] = True
        elif self._engine is not None:
            self._engine.cancel(request_id)

    async def _embed(self, ask: wire.Embed) -> None:
        await self._answer(ask, self._vectors(ask))

    async def _rerank(self, ask: wire.Rerank) -> None:
        await self._answer(ask, self._scores(ask))

    async def _answer(self, ask: wire.Embed | wire.Rerank, work: Awaitable[wire.Tell]) -> None:
        try:
            tell = await work
        except TextTooLongError as e:
            tell = wire.TooLong(ask.id, e.place, e.tokens)
        except ValueError as e:
            tell = wire.Refused(ask.id, str(e))
        del self._cancelled[ask.id]
        self._tell(tell)

    async def _vectors(self, ask: wire.Embed) -> wire.Tell:
        """The vectors of texts, in short batches: between two of them others have their turn."""
        encoder = self._encoder
        if not isinstance(encoder, TextEncoder):
            return wire.Refused(ask.id, "This model does not embed.")
        rows = await asyncio.to_thread(encoder.read, ask.texts, ask.kind)
        vectors = np.empty((len(rows), encoder.dimension), np.float32)
        most_tokens = BATCH_TOKENS if ask.kind == "query" else _BACKGROUND_TOKENS
        parts = list(batches(list(map(len, rows)), most_tokens))
        rank = _QUESTION if ask.kind == "query" else _EDIT if len(parts) == 1 else _SYNC
        for batch in parts:
            async with self._encoding_turn(rank):
                if self._cancelled[ask.id]:
                    return wire.Refused(ask.id, "It was cancelled.")
                found = await asyncio.to_thread(encoder.encode, [rows[place] for place in batch])
            vectors[batch] = found
        return wire.Vectors(ask.id, len(rows), vectors.tobytes(), sum(map(len, rows)))

    async def _scores(self, ask: wire.Rerank) -> wire.Tell:
        """The scores of texts; a search waits for them, so they go first like a question."""
        reranker = self._encoder
        if not isinstance(reranker, TextReranker):
            return wire.Refused(ask.id, "This model does not rerank.")
        pairs = await asyncio.to_thread(reranker.read, ask.query, ask.texts)
        lengths = [len(first) + len(second) for first, second in pairs]
        scores = np.empty(len(pairs), np.float32)
        for batch in batches(lengths):
            async with self._encoding_turn(_QUESTION):
                if self._cancelled[ask.id]:
                    return wire.Refused(ask.id, "It was cancelled.")
                found = await asyncio.to_thread(reranker.score, [pairs[place] for place in batch])
            scores[batch] = found
        return wire.Scores(ask.id, scores.tolist(), sum(lengths))

    @asynccontextmanager
    async def _encoding_turn(self, rank: int) -> AsyncIterator[None]:
        """The encoder for one batch: what a search waits for goes first and takes no turn."""
        if rank == _QUESTION:
            async with self._encoding.turn(rank):
                yield
            return
        async with self._passages.turn(rank), self._encoding.turn(rank):
            yield

    async def _tokenize(self, ask: wire.Tokenize) -> None:
        if self._encoder is None:
            self._tell(wire.Refused(ask.id, "This model's text is not read here."))
            return
        ids = await asyncio.to_thread(self._encoder.tokenize, ask.text)
        self._tell(wire.Tokens(ask.id, ids))

    def _tell(self, tell: wire.Tell) -> None:
        """Send a tell soon. Safe to call from any thread."""
        self._outbox.append(tell)
        if not self._news_told:  # one call sends all that comes meanwhile
            self._news_told = True
            self._loop.call_soon_threadsafe(self._send_all)

    def _send_all(self) -> None:
        """Send what waits in one message."""
        self._news_told = False
        waiting = [self._outbox.popleft() for _ in range(len(self._outbox))]
        self._send(wire.encode(joined(waiting)))


async def run(spec: WorkerSpec, end: socket.socket) -> int:
    """Load the model and serve it over a socket, until that ends or where it cannot be loaded."""
    try:
        if spec.backend == "encoder":
            os.nice(_ENCODER_NICENESS)
            encoder = await asyncio.to_thread(open_encoder, spec)
            turns = Turns(Path(spec.turns)) if spec.turns else None
            worker = Worker(None, encoder, turns)
        elif spec.backend == "reranker":
            worker = Worker(None, await asyncio.to_thread(open_reranker, spec))
        else:
            worker = Worker(await asyncio.to_thread(open_engine, spec), None)
    except (PonantError, ValueError, OSError, ImportError, MemoryError) as e:
        await _report(end, e)
        return 1
    gc.collect()
    gc.freeze()  # the model stays: searching it for garbage would hold up every answer
    await worker.serve(end)
    return 0


async def _report(end: socket.socket, error: BaseException) -> None:
    """Tell whoever started this process why there will be no model."""
    _log.error("The model cannot be loaded.", reason=str(error))
    message = str(error) or f"Loading the model failed ({type(error).__name__})."
    link = await linked(end, lambda _: None)
    link.send(wire.encode([wire.Failed(message)]))
    link.close()
    await link.lost


def _end_with_standard_input() -> None:
    while sys.stdin.buffer.read(1 << 16):
        pass
    os._exit(0)


def main() -> int:
    spec = msgspec.json.decode(sys.stdin.buffer.readline(), type=WorkerSpec)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(spec.log_level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    hold_to_memory(spec.memory)
    end = socket.socket(fileno=int(sys.argv[-1]))
    end.set_inheritable(False)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(spec, end))


if __name__ == "__main__":
    sys.exit(main())
