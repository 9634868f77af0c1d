"""Starts a model's worker process, watches it, and starts it again when it dies."""

import asyncio
import contextlib
import math
import os
import socket
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import structlog

from ponant.engine import Event, FinishReason, Request
from ponant.kit import new_id
from ponant.kit.errors import BadRequest, PonantError, TooManyRequests, Unavailable
from ponant.serving import wire
from ponant.serving.budget import held_by
from ponant.serving.link import Link, linked
from ponant.serving.mailbox import Mailbox
from ponant.serving.restarts import Restarts, how
from ponant.serving.runfolder import RunFolder
from ponant.serving.wire import WorkerSpec

State = Literal["ready", "starting", "stopped", "failed"]

_log = structlog.get_logger(__name__)
_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_SHORT_PAUSE = 1.0  # through which requests wait; through a longer one they are refused
_LAST_WORDS = 0.2
_FIRST = asyncio.FIRST_COMPLETED
_MOST_TO_FORGET = 65_536  # names that a worker is told when it starts
_RETRY_AFTER = 15.0  # seconds after which a model that failed may be tried again


class WorkerProcess:
    """One model's worker: started at the first need, started again when it dies.

    Args:
        name: the model, for messages.
        spec: what the worker loads; the rest is filled in here.
        folder: for what the worker writes.
        needs: bytes that the model is estimated to take.
        memory: asked at each start for the bytes that it may take; 0 is what is free.
    """

    def __init__(
        self,
        name: str,
        spec: WorkerSpec,
        folder: RunFolder,
        *,
        needs: int = 0,
        memory: Callable[[], int] = lambda: 0,
    ) -> None:
        self._name = name
        self._spec = spec
        self._folder = folder
        self._needs = needs
        self._memory = memory
        self._state: State = "stopped"
        self._detail = ""
        self._loaded: wire.Loaded | None = None
        self._was_ready = False
        self._again_at = 0.0  # when a model that failed may be tried again
        self._changed = asyncio.Condition()
        self._keeper: asyncio.Task[None] | None = None
        self._link: Link | None = None
        self._said: asyncio.Future[wire.Loaded | wire.Failed] | None = None
        self._answers: dict[str, Mailbox] = {}
        self._to_forget: dict[str, None] = {}
        self._process: asyncio.subprocess.Process | None = None

    @property
    def state(self) -> State:
        return self._state

    @property
    def detail(self) -> str:
        """Why the model is not ready, where it is not."""
        return self._detail

    @property
    def loaded(self) -> wire.Loaded | None:
        """What the worker holds, once it has been ready."""
        return self._loaded

    @property
    def backend(self) -> str:
        return self._spec.backend

    @property
    def pid(self) -> int | None:
        """The process's number while it runs."""
        if self._process is None or self._process.returncode is not None:
            return None
        return self._process.pid

    @property
    def held(self) -> int:
        """Bytes that the process holds, or said it would."""
        known = self._loaded.info.resident_bytes if self._loaded and self._loaded.info else 0
        return held_by(self.pid, known or self._needs)

    def start(self) -> None:
        """Begin to load the model, unless that has begun."""
        failed = self._state == "failed" and time.monotonic() < self._again_at
        if failed or (self._keeper is not None and not self._keeper.done()):
            return
        self._state, self._detail = "starting", "The model is being loaded."
        self._keeper = asyncio.create_task(self._keep())

    async def ready(self) -> wire.Loaded:
        """What the worker holds; waits while it loads.

        Raises:
            Unavailable: the model cannot be loaded; the message says why.
        """
        if self._state == "ready" and self._loaded is not None:
            return self._loaded
        self.start()
        async with self._changed:
            await self._changed.wait_for(lambda: self._state != "starting")
        if self._state != "ready" or self._loaded is None:
            raise Unavailable(
                f"The model {self._name} cannot be used. {self._detail}",
                retry_after=max(1.0, self._again_at - time.monotonic()),
            )
        return self._loaded

    async def generate(self, request: Request) -> AsyncGenerator[Event]:
        """The events of a request, to its last; leaving early cancels it.

        Raises:
            Unavailable: the worker died, or there is none.
            BadRequest: the model does not take the request.
            TooManyRequests: as many requests wait for the model as may.
        """
        await self.ready()
        ended = False
        with self._listening(request.id) as answers:
            try:
                self._ask(wire.Generate(request))
                while not ended:
                    event = _event(await answers.take())
                    ended = event.finish is not None
                    yield event
            except PonantError:
                ended = True
                raise
            finally:
                if not ended:
                    with contextlib.suppress(Unavailable):
                        self._ask(wire.Cancel(request.id))

    async def forget(self, names: Sequence[str]) -> None:
        """Drop what is kept of prompts under these tags; a worker that starts is told first."""
        self._to_forget.update(dict.fromkeys(names))
        while len(self._to_forget) > _MOST_TO_FORGET:
            del self._to_forget[next(iter(self._to_forget))]
        if self._state == "ready":
            self._ask(wire.Forget(list(names)))

    async def embed(self, texts: Sequence[str], kind: str) -> wire.Vectors | wire.TooLong:
        """Vectors of texts, or which of them is too long; leaving early cancels.

        Raises:
            Unavailable: the worker died, or there is none.
            BadRequest: the model does not take the texts.
        """
        ask = wire.Embed(new_id("emb"), list(map(wire.carried, texts)), kind)
        tell = await self._answer_or_cancel(ask)
        if isinstance(tell, wire.Vectors | wire.TooLong):
            return tell
        raise _nonsense()

    async def rerank(self, query: str, texts: Sequence[str]) -> wire.Scores | wire.TooLong:
        """Relevances of texts, or which of them is too long; leaving early cancels.

        Raises:
            Unavailable: the worker died, or there is none.
            BadRequest: the model does not take the texts.
        """
        ask = wire.Rerank(new_id("rrk"), wire.carried(query), list(map(wire.carried, texts)))
        tell = await self._answer_or_cancel(ask)
        if isinstance(tell, wire.Scores | wire.TooLong):
            return tell
        raise _nonsense()

    async def tokenize(self, text: str) -> list[int]:
        """Token ids of a text, from a worker that holds the model's tokenizer.

        Raises:
            Unavailable: the worker died, or there is none.
            BadRequest: the worker has no tokenizer.
        """
        tell = await self._answer_to(wire.Tokenize(new_id("tok"), wire.carried(text)))
        if isinstance(tell, wire.Tokens):
            return tell.ids
        raise _nonsense()

    async def _answer_or_cancel(self, ask: wire.Embed | wire.Rerank) -> wire.Tell:
        try:
            return await self._answer_to(ask)
        except asyncio.CancelledError:
            with contextlib.suppress(Unavailable):
                self._ask(wire.Cancel(ask.id))
            raise

    async def _answer_to(self, ask: wire.Embed | wire.Rerank | wire.Tokenize) -> wire.Tell:
        await self.ready()
        with self._listening(ask.id) as answers:
            self._ask(ask)
            tell = await answers.take()
        if isinstance(tell, wire.Refused | wire.Failed):
            raise _fault(tell)
        return tell

    async def close(self) -> None:
        """End the worker; requests in flight fail."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        await self._set("stopped", "")

    async def _keep(self) -> None:
        """Run the worker again and again, with growing pauses, until it cannot be loaded."""
        restarts = Restarts()
        while True:
            began = time.monotonic()
            try:
                await self._run()
            except (Unavailable, OSError, msgspec.MsgspecError) as e:
                await self._fail(str(e))
                return
            pause = restarts.ended(time.monotonic() - began, was_ready=self._was_ready)
            code = self._process.returncode if self._process else None
            _log.error("A worker ended.", model=self._name, how=how(code), pause=pause)
            if restarts.hopeless:
                await self._fail(restarts.told(code))
                return
            await self._rest(pause, restarts.told(code))

    async def _rest(self, pause: float, told: str) -> None:
        """Wait before the next start; through a long pause requests are refused at once."""
        if pause > _SHORT_PAUSE:
            self._again_at = time.monotonic() + pause
            await self._set("failed", f"{told} It is started again in {pause:.0f} s.")
        await asyncio.sleep(pause)
        await self._set("starting", told)

    async def _fail(self, reason: str) -> None:
        self._again_at = time.monotonic() + _RETRY_AFTER
        await self._set("failed", reason)

    async def _run(self) -> None:
        """One life of the process, from its start to its end.

        Raises:
            Unavailable: the worker says that the model cannot be loaded.
        """
        spec = msgspec.structs.replace(
            self._spec, memory=self._memory(), turns=str(self._folder.turns)
        )
        ours, theirs = socket.socketpair()
        said: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._said = said
        self._link = link = await linked(ours, self._hear)
        try:
            with theirs:
                process = await _start(self._name, spec, self._folder.path, theirs.fileno())
        except BaseException:
            link.close()
            raise
        self._process, self._was_ready = process, False
        waiter = asyncio.create_task(process.wait())
        ends: set[asyncio.Future[Any]] = {link.lost, waiter}
        try:
            await asyncio.wait({said, *ends}, return_when=_FIRST)
            # Its last words may be on their way still.
            await asyncio.wait({said, link.lost}, timeout=_LAST_WORDS, return_when=_FIRST)
            if said.done():
                await self._begin(said.result())
            await asyncio.wait(ends, return_when=_FIRST)
            await asyncio.wait(ends, timeout=_LAST_WORDS)
            if link.lost.done():
                link.lost.result()
        finally:
            self._link = None
            link.close()
            waiter.cancel()
            self._fail_all(process.returncode)
            await _end(process)

    async def _begin(self, said: wire.Loaded | wire.Failed) -> None:
        if isinstance(said, wire.Failed):
            raise Unavailable(said.message)
        self._loaded, self._was_ready = said, True
        with contextlib.suppress(Unavailable):  # else its end is noticed at once
            if self._to_forget:
                self._ask(wire.Forget(list(self._to_forget)))
        await self._set("ready", "")

    def _hear(self, message: bytearray) -> None:
        for tell in wire.decode_tells(message):
            match tell:
                case wire.Happened(event):
                    self._answer(event.request_id, tell)
                case wire.Loaded() | wire.Failed():
                    if self._said is not None and not self._said.done():
                        self._said.set_result(tell)
                case _:
                    self._answer(tell.id, tell)

    def _answer(self, request_id: str, tell: wire.Tell) -> None:
        answers = self._answers.get(request_id)
        if answers is not None:  # else nobody listens any more
            answers.put(tell)

    @contextlib.contextmanager
    def _listening(self, request_id: str) -> Iterator[Mailbox]:
        self._answers[request_id] = Mailbox()
        try:
            yield self._answers[request_id]
        finally:
            del self._answers[request_id]

    def _ask(self, ask: wire.Ask) -> None:
        if self._link is None or not self._link.is_open:
            raise Unavailable(f"The model {self._name} is being started again.", retry_after=2)
        self._link.send(wire.encode(ask))

    def _fail_all(self, code: int | None) -> None:
        """Tell everyone who waits for an answer that the process is gone."""
        self._state, self._detail = "starting", "The model's process ended and is started again."
        reason = "" if code is None else f" ({how(code)})"
        lost = wire.Failed(
            f"The process of the model {self._name} ended in the middle of the answer{reason}. It "
            "is being started again; try again in a moment."
        )
        for answers in self._answers.values():
            answers.put(lost)

    async def _set(self, state: State, detail: str) -> None:
        async with self._changed:
            self._state, self._detail = state, detail
            self._changed.notify_all()


def _event(tell: wire.Tell) -> Event:
    match tell:
        case wire.Happened(event) if event.finish is FinishReason.ERROR:
            raise Unavailable(f"The model failed: {event.error}.", retry_after=1)
        case wire.Happened(event):
            return event
        case wire.Refused() | wire.Busy() | wire.Failed():
            raise _fault(tell)
        case _:
            raise _nonsense()


def _fault(tell: wire.Refused | wire.Busy | wire.Failed) -> PonantError:
    if isinstance(tell, wire.Failed):
        return Unavailable(tell.message, retry_after=2)
    if isinstance(tell, wire.Busy):
        message = f"{_sentence(tell.message)} Try again in {math.ceil(tell.retry_after)} s."
        return TooManyRequests(message, retry_after=tell.retry_after)
    return BadRequest(_sentence(tell.message))


def _sentence(message: str) -> str:
    return f"{message[:1].upper()}{message[1:].rstrip('.')}."


def _nonsense() -> Unavailable:
    return Unavailable("The model's process gave an answer that makes no sense.")


async def _start(
    name: str, spec: WorkerSpec, temporary: Path, end: int
) -> asyncio.subprocess.Process:
    """Start a process that holds the model, and the other ``end`` of the link under its number."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ponant.serving.worker",
        name,  # tells an operator which model a process holds
        str(end),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        env=_environment(spec, temporary),
        pass_fds=(end,),
        # Ctrl-C in a terminal is for the server, which then ends its workers.
        start_new_session=True,
    )
    if process.stdin is not None:
        process.stdin.write(msgspec.json.encode(spec) + b"\n")
    return process


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await process.wait()


def _environment(spec: WorkerSpec, temporary: Path) -> dict[str, str]:
    """What a worker may see: model files come from strangers, so no secret is among it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PONANT_") and not any(w in name.upper() for w in _SECRET_WORDS)
    }
    threads = str(spec.threads)
    return kept | {
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "OMP_WAIT_POLICY": "PASSIVE",
        "TMPDIR": str(temporary),
    }
