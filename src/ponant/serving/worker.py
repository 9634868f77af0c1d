"""The process that holds one loaded model: ``python -m ponant.serving.worker``.

The first line on its standard input is a `WorkerSpec` as JSON. Standard input then stays open as a
lifeline: when it ends, whoever started the worker is gone, and so is the worker.
"""

import asyncio
import gc
import os
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import msgspec
import numpy as np
import structlog
import uvloop
import zmq
import zmq.asyncio

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
from ponant.serving.line import Line
from ponant.serving.loading import open_encoder, open_engine, open_reranker
from ponant.serving.memory import hold_to_memory
from ponant.serving.turns import Turns
from ponant.serving.wire import WorkerSpec

_ENCODER_NICENESS = 5  # embedding yields to chat where both want the same cores
_BACKGROUND_TOKENS = 512  # of a batch of passages, which holds up whoever chats
_QUESTION, _EDIT, _SYNC = range(3)  # who goes first at the encoder: a search waits, a person looks
_log = structlog.get_logger(__name__)


class Worker:
    """Answers clients over a ROUTER socket with an engine or an encoder.

    Args:
        socket: bound; each client is known by its routing id.
        engine: what generates, or None.
        encoder: what embeds or reranks, or None.
        turns: at the cores, for what embeds; None takes none.
    """

    def __init__(
        self,
        socket: zmq.asyncio.Socket,
        engine: Engine | None,
        encoder: TextEncoder | TextReranker | None,
        turns: Turns | None = None,
    ) -> None:
        self._socket = socket
        self._engine = engine
        self._encoder = encoder
        self._loop = asyncio.get_running_loop()
        self._outbox: deque[tuple[bytes, wire.Tell]] = deque()
        self._news = asyncio.Event()
        self._news_told = False
        # Generations on their way in, and texts being embedded: cancelled meanwhile?
        self._cancelled: dict[str, bool] = {}
        self._encoding = Line()
        self._passages = Background(turns)

    async def serve(self) -> None:
        """Answer until the process ends."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send())
            while True:
                client, frame = await self._socket.recv_multipart()
                match wire.decode_ask(frame):
                    case wire.Hello():
                        self._tell(client, self._loaded())
                    case wire.Generate(request) if request.grammar is None:
                        self._submit(client, request)
                    case wire.Generate(request):
                        self._cancelled[request.id] = False
                        tasks.create_task(self._generate(client, request))
                    case wire.Cancel(request_id):
                        self._cancel(request_id)
                    case wire.Forget(names):
                        if self._engine is not None:
                            self._engine.forget(names)
                    case wire.Embed() as ask:
                        self._cancelled[ask.id] = False
                        tasks.create_task(self._embed(client, ask))
                    case wire.Rerank() as ask:
                        self._cancelled[ask.id] = False
                        tasks.create_task(self._rerank(client, ask))
                    case wire.Tokenize() as ask:
                        tasks.create_task(self._tokenize(client, ask))

    def _loaded(self) -> wire.Loaded:
        if self._engine is not None:
            return wire.Loaded(info=self._engine.info)
        match self._encoder:
            case TextEncoder() as encoder:
                return wire.Loaded(dimension=encoder.dimension, max_tokens=encoder.max_tokens)
            case TextReranker() as reranker:
                return wire.Loaded(max_tokens=reranker.max_tokens)
        return wire.Loaded()

    async def _generate(self, client: bytes, request: Request) -> None:
        """Submit in a thread, since a grammar is compiled on the way in."""
        await asyncio.to_thread(self._submit, client, request)
        if self._cancelled.pop(request.id) and self._engine is not None:
            self._engine.cancel(request.id)

    def _submit(self, client: bytes, request: Request) -> None:
        def emit(event: Event) -> None:
            self._tell(client, wire.Happened(event))

        if self._engine is None:
            self._tell(client, wire.Refused(request.id, "This model does not generate."))
            return
        try:
            self._engine.submit(request, emit)
        except QueueFull as e:
            self._tell(client, wire.Busy(request.id, str(e), e.retry_after))
        except ValueError as e:
            self._tell(client, wire.Refused(request.id, str(e)))

    def _cancel(self, request_id: str) -> None:
        if request_id in self._cancelled:
            self._cancelled[request_id] = True
        elif self._engine is not None:
            self._engine.cancel(request_id)

    async def _embed(self, client: bytes, ask: wire.Embed) -> None:
        await self._answer(client, ask, self._vectors(ask))

    async def _rerank(self, client: bytes, ask: wire.Rerank) -> None:
        await self._answer(client, ask, self._scores(ask))

    async def _answer(
        self, client: bytes, ask: wire.Embed | wire.Rerank, work: Awaitable[wire.Tell]
    ) -> None:
        try:
            tell = await work
        except TextTooLongError as e:
            tell = wire.TooLong(ask.id, e.place, e.tokens)
        except ValueError as e:
            tell = wire.Refused(ask.id, str(e))
        del self._cancelled[ask.id]
        self._tell(client, tell)

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

    async def _tokenize(self, client: bytes, ask: wire.Tokenize) -> None:
        if self._encoder is None:
            self._tell(client, wire.Refused(ask.id, "This model's text is not read here."))
            return
        ids = await asyncio.to_thread(self._encoder.tokenize, ask.text)
        self._tell(client, wire.Tokens(ask.id, ids))

    def _tell(self, client: bytes, tell: wire.Tell) -> None:
        """Send a tell soon. Safe to call from any thread."""
        self._outbox.append((client, tell))
        if not self._news_told:  # one call wakes the sender for all that comes meanwhile
            self._news_told = True
            self._loop.call_soon_threadsafe(self._news.set)

    async def _send(self) -> None:
        """Send what waits, all that goes to one client in one message."""
        while True:
            await self._news.wait()
            self._news.clear()
            self._news_told = False
            waiting = [self._outbox.popleft() for _ in range(len(self._outbox))]
            for client, tells in groupby(waiting, key=itemgetter(0)):
                frames = [wire.encode(tell) for _, tell in tells]
                await self._socket.send_multipart([client, *frames])


async def run(spec: WorkerSpec) -> int:
    """Load the model and serve it; returns only where it cannot be loaded."""
    with zmq.asyncio.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.set(zmq.LINGER, 1000)
        # A ROUTER drops what passes its high-water mark; what is in flight is bounded by requests.
        socket.set(zmq.SNDHWM, 0)
        socket.set(zmq.RCVHWM, 0)
        socket.bind(spec.address)
        try:
            if spec.backend == "encoder":
                os.nice(_ENCODER_NICENESS)
                encoder = await asyncio.to_thread(open_encoder, spec)
                turns = Turns(Path(spec.turns)) if spec.turns else None
                worker = Worker(socket, None, encoder, turns)
            elif spec.backend == "reranker":
                worker = Worker(socket, None, await asyncio.to_thread(open_reranker, spec))
            else:
                worker = Worker(socket, await asyncio.to_thread(open_engine, spec), None)
        except (PonantError, ValueError, OSError, ImportError, MemoryError) as e:
            await _report(socket, e)
            return 1
        gc.collect()
        gc.freeze()  # the model stays: searching it for garbage would hold up every answer
        await worker.serve()
    return 0


async def _report(socket: zmq.asyncio.Socket, error: BaseException) -> None:
    """Tell the client that said hello why there will be no model."""
    _log.error("The model cannot be loaded.", reason=str(error))
    message = str(error) or f"Loading the model failed ({type(error).__name__})."
    client, _ = await socket.recv_multipart()
    await socket.send_multipart([client, wire.encode(wire.Failed(message))])


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
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(spec))


if __name__ == "__main__":
    sys.exit(main())
