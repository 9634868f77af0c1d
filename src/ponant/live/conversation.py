"""How a process speaks with the live process, and how the server keeps that process alive."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator, Callable
from itertools import count
from typing import Any, TypeVar
from weakref import WeakSet

import msgspec
import structlog
import zmq
import zmq.asyncio

from ponant.kit import PonantError, Settings
from ponant.kit.errors import NotFound, Unavailable
from ponant.kit.settings import HIDDEN
from ponant.kit.tasks import Tasks
from ponant.live import wire
from ponant.live.address import endpoint, is_running
from ponant.live.failure import Failure
from ponant.live.indexing.embedding import EmbedderSource
from ponant.live.port import Change, Embedder, Notice
from ponant.store import Scope

_ANSWER_SECONDS = 60.0
_START_SECONDS = 60.0  # that a request waits for a process that is starting
_SLOW_SECONDS = 15.0  # of a start, after which the log says so
_CANNOT_START = "Live knowledge cannot start. The server's log says why; it is tried again."
_NOT_RUNNING = "Live knowledge is not running. Start the server: ponant serve"
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
_EMBEDDER_PAUSE = 5.0
_MOST_WAITING = 1000  # changes that a slow listener may be behind

_PROCESS = (  # what is imported is no garbage: looking for some takes a tenth of the start
    "import gc; gc.disable(); from ponant.live.process import main; main()"
)

_log = structlog.get_logger(__name__)
_R = TypeVar("_R")


class Conversation:
    """Calls over the local socket, what the process tells, and the embedder that it may ask.

    `start` runs the live process as a child and starts it again when it dies; `connect` only
    speaks to one that runs.

    Args:
        embedder: waits until there is an embedder that the process may ask through this client.
    """

    def __init__(self, settings: Settings, embedder: EmbedderSource | None = None) -> None:
        self._settings = settings
        self._find_embedder = embedder
        self._embedder: Embedder | None = None
        self._socket: zmq.asyncio.Socket | None = None
        self._ready = asyncio.Event()
        self._missing = ""  # why there is no process to wait for
        self._decided = asyncio.Event()  # one of both: who asks need not wait
        self._numbers = count()
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._listeners: WeakSet[asyncio.Queue[Change]] = WeakSet()
        self._noticing: dict[str, set[Callable[[Notice], None]]] = {}
        self._tasks = Tasks("the client of live knowledge")
        self._process: asyncio.subprocess.Process | None = None

    @property
    def ready(self) -> bool:
        """Whether the live process answers."""
        return self._ready.is_set()

    @property
    def missing(self) -> str:
        """Why there is no process to wait for; empty where it answers or may be starting."""
        return self._missing

    @property
    def pid(self) -> int | None:
        """The live process that this client started, while it runs."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start the live process and keep it alive; returns before it answers."""
        self._tasks.spawn(self._keep())

    async def connect(self) -> None:
        """Speak to the live process that another process started."""
        self._tasks.spawn(self._talk())
        self._tasks.spawn(self._look())

    async def close(self) -> None:
        """End the live process, if it is this client's, and every call."""
        await self._tasks.close()

    def changes(self, scope: Scope) -> AsyncGenerator[Change]:
        """The changes in a workspace from now on; close the iterator to stop listening."""
        queue: asyncio.Queue[Change] = asyncio.Queue(_MOST_WAITING)
        self._listeners.add(queue)  # now, and not when the first is asked for
        return self._changes(queue, scope)

    async def _changes(self, queue: asyncio.Queue[Change], scope: Scope) -> AsyncGenerator[Change]:
        try:
            while True:
                change = await queue.get()
                if change.workspace_id == scope.workspace_id:
                    yield change
        finally:
            self._listeners.discard(queue)

    def notices(self, part: str, listener: Callable[[Notice], None]) -> None:
        """Call ``listener`` on the event loop with what a part has to tell, from now on.

        Only those that are alive are told: what a part tells it also keeps to be asked for.
        """
        self._noticing.setdefault(part, set()).add(listener)

    async def call(
        self, kind: type[_R] | None, method: str, scope: Scope, /, **arguments: Any
    ) -> _R:
        """What a method of the process answers; ``part.method`` for those of a part."""
        await self._until_ready()
        number = next(self._numbers)
        self._calls[number] = answer = asyncio.get_running_loop().create_future()
        try:
            await self._send(wire.Call(number, method, scope, arguments))
            async with asyncio.timeout(_ANSWER_SECONDS):
                raw = await answer
        except TimeoutError as e:
            raise Unavailable("Live knowledge did not answer in time. Try again.") from e
        finally:
            del self._calls[number]
        return msgspec.msgpack.decode(raw, type=kind)

    async def _until_ready(self) -> None:
        """Wait for a process that is starting; one that is not there is told at once.

        Raises:
            Unavailable: it takes too long, or there is none.
        """
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._decided.wait()
        except TimeoutError as e:
            raise Unavailable(
                "Live knowledge is still starting. Try again in a moment.", retry_after=2
            ) from e
        if self._missing:
            raise Unavailable(self._missing, retry_after=2)

    def _decide(self, *, ready: bool = False, missing: str = "") -> None:
        """Note whether the process answers and, where none will, why; neither while it starts."""
        self._missing = missing
        for event, is_so in ((self._ready, ready), (self._decided, ready or bool(missing))):
            if is_so:
                event.set()
            else:
                event.clear()

    async def _look(self) -> None:
        """Find out now and then whether anybody runs the process that this client waits for."""
        while not self.ready:
            await asyncio.sleep(_SLOW_SECONDS)
            is_there = await asyncio.to_thread(is_running, self._settings.home)
            if not self.ready:
                self._decide(missing="" if is_there else _NOT_RUNNING)

    async def _keep(self) -> None:
        """Run the process again and again, with growing pauses while it ends at once."""
        pause = _FIRST_PAUSE
        while True:
            process = self._process = await self._start_process()
            talking = asyncio.create_task(self._talk())
            telling = asyncio.get_running_loop().call_later(_SLOW_SECONDS, self._tell_if_slow)
            try:
                code = await process.wait()
                has_started = self.ready
                pause = _FIRST_PAUSE if has_started else min(2 * pause, _LONGEST_PAUSE)
                _log.error("The live process ended and is started again.", code=code)
            finally:
                telling.cancel()
                talking.cancel()
                await asyncio.gather(talking, return_exceptions=True)
                await _end(process)
                self._process = None
            if not has_started:
                self._decide(missing=_CANNOT_START)
            await asyncio.sleep(pause)

    def _tell_if_slow(self) -> None:
        if not self.ready:
            _log.warning("The live process is still starting; requests wait for it.", pid=self.pid)

    async def _start_process(self) -> asyncio.subprocess.Process:
        settings = self._settings
        spec = wire.LiveSpec(
            home=str(settings.home.resolve()),
            roots=[str(root) for root in settings.source_roots],
            endpoint=endpoint(settings.home),
            log_level=settings.log_level,
            networks=list(settings.source_networks),
            brokers=list(settings.source_brokers),
            tables_memory=settings.tables_memory,
            secrets_key=settings.given_secrets_key,
            database_url=settings.live_database,
            vectors=settings.live_vectors,
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _PROCESS,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name not in HIDDEN}
            | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            # Ctrl-C in a terminal is for the server, which then ends this.
            start_new_session=True,
        )
        if process.stdin is not None:
            process.stdin.write(msgspec.json.encode(spec) + b"\n")
        return process

    async def _talk(self) -> None:
        """One conversation, as long as the process or the client lives."""
        context = zmq.asyncio.Context.instance()
        offering: asyncio.Task[None] | None = None
        with context.socket(zmq.DEALER) as socket:
            socket.set(zmq.LINGER, 0)
            socket.set(zmq.RECONNECT_IVL, 20)
            socket.set(zmq.SNDHWM, 0)
            socket.set(zmq.RCVHWM, 0)
            socket.connect(endpoint(self._settings.home))
            self._socket = socket
            try:
                await socket.send(wire.encode(wire.Subscribe()))
                while True:
                    tell = wire.decode_tell(await socket.recv())
                    if isinstance(tell, wire.Ready):
                        self._decide(ready=True)
                        offering = self._tasks.spawn(self._offer())
                    else:
                        self._take(tell)
            finally:
                self._decide()
                self._socket = None
                if offering is not None:
                    offering.cancel()
                self._fail_calls()

    def _take(self, tell: wire.Tell) -> None:
        match tell:
            case wire.Reply(number, result, failure) if number in self._calls:
                answer = self._calls[number]
                if answer.done():
                    return
                if failure is None:
                    answer.set_result(result)
                else:
                    answer.set_exception(failure.error())
            case wire.Told(change):
                for queue in list(self._listeners):
                    if queue.full():
                        queue.get_nowait()
                    queue.put_nowait(change)
            case wire.Noticed(notice):
                for listener in self._noticing.get(notice.part, ()):
                    listener(notice)
            case wire.Embed() | wire.Count():
                self._tasks.spawn(self._embed(tell))

    async def _offer(self) -> None:
        """Tell the process of the embedder, once there is one."""
        if self._find_embedder is None:
            return
        while self._embedder is None:
            try:
                self._embedder = await self._find_embedder()
            except NotFound as e:
                _log.warning("Search goes by keywords alone.", reason=e.message)
                await asyncio.sleep(12 * _EMBEDDER_PAUSE)
            except PonantError as e:
                _log.info("The embedder is not there yet.", reason=e.message)
                await asyncio.sleep(_EMBEDDER_PAUSE)
        await self._send(wire.Offer(self._embedder.identity, self._embedder.max_tokens))

    async def _embed(self, ask: wire.Embed | wire.Count) -> None:
        try:
            answer = await self._embedded(ask)
        except PonantError as e:
            answer = wire.NotEmbedded(ask.id, Failure.of(e))
        except Exception:  # noqa: BLE001 - whatever it is, who asks must not wait for ever
            _log.exception("The embedder failed.")
            failure = Failure.of(Unavailable("The embedder failed. The log says why."))
            answer = wire.NotEmbedded(ask.id, failure)
        with contextlib.suppress(Unavailable):
            await self._send(answer)

    async def _embedded(self, ask: wire.Embed | wire.Count) -> wire.Ask:
        if self._embedder is None:
            raise Unavailable("There is no embedder.")
        if isinstance(ask, wire.Count):
            return wire.Counted(ask.id, await self._embedder.count_tokens(ask.texts))
        vectors = await self._embedder.embed(ask.texts, ask.kind)
        return wire.Vectors(ask.id, len(vectors), vectors.tobytes())

    async def _send(self, ask: wire.Ask) -> None:
        if self._socket is None:
            raise Unavailable("Live knowledge is being started again.", retry_after=1)
        await self._socket.send(wire.encode(ask))

    def _fail_calls(self) -> None:
        for answer in self._calls.values():
            if not answer.done():
                answer.set_exception(
                    Unavailable("Live knowledge is being started again. Try again.", retry_after=1)
                )


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await process.wait()
