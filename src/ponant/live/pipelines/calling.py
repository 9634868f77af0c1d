"""Has transforms called in a process of their own, each call within its time."""

import asyncio
import contextlib
import os
import pickle
import sys
from pathlib import Path

from ponant.kit.settings import HIDDEN
from ponant.live.pipelines.items import Item
from ponant.live.pipelines.plan import Stage
from ponant.live.pipelines.transforming import LENGTH, NUMBER, Answer, frame


class CallFailed(Exception):
    """A transform raised, took too long, or ended its process; the message says which."""


class Transforms:
    """The process that calls a pipeline's transforms, started with the first call.

    A call that takes too long ends the process and with it the calls beside it, any of which may
    have kept the interpreter to itself: each of them is made once more, in a process of its own,
    and only what fails there has failed.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._child: _Child | None = None
        self._starting = asyncio.Lock()
        self._suspects = asyncio.Lock()

    async def call(self, stage: Stage, item: Item) -> list[Item]:
        """What a transform makes of an item.

        Raises:
            CallFailed: it raised, it took too long, or its process ended.
        """
        child = await self._shared()
        try:
            return await child.call(stage, item)
        except asyncio.CancelledError:
            child.kill()  # nobody waits for this call any more, and it may never end
            raise
        except _Lost as e:
            await child.end()
            if e.alone:
                raise self._failed(e) from e
        async with self._suspects:
            child = await _Child.start(self._file)
            try:
                return await child.call(stage, item)
            except _Lost as e:
                raise self._failed(e) from e
            finally:
                await child.end()

    async def close(self) -> None:
        """End the process."""
        if self._child is not None:
            await self._child.end()

    async def _shared(self) -> "_Child":
        async with self._starting:
            if self._child is None or not self._child.alive:
                self._child = await _Child.start(self._file)
            return self._child

    def _failed(self, lost: "_Lost") -> CallFailed:
        more = ", or give it more with @live.transform(timeout=…)" if lost.late else ""
        return CallFailed(f"{lost}. Mend it{more}, then: ponant live replay {self._file.stem}")


class _Lost(Exception):
    """A call without an answer.

    Attributes:
        late: whether its time was over; else its process ended.
        alone: whether no other call can have been the cause.
    """

    def __init__(self, reason: str, *, late: bool = False, alone: bool = False) -> None:
        super().__init__(reason)
        self.late = late
        self.alone = alone


class _Child:
    """A process that calls transforms."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._last = 0
        self._lost = False
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, file: Path) -> "_Child":
        """Start it; returns when it has loaded the pipeline's file.

        Raises:
            CallFailed: it cannot.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ponant.live.pipelines.transforming",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name not in HIDDEN},
            start_new_session=True,
        )
        child = cls(process)
        try:
            await child._ask(0, os.fsencode(file) + b"\n")
        except _Lost as e:
            raise CallFailed(f"the process for transforms did not start: {e}") from e
        except BaseException:
            await child.end()
            raise
        return child

    @property
    def alive(self) -> bool:
        return not self._listening.done()

    async def call(self, stage: Stage, item: Item) -> list[Item]:
        """What a transform makes of an item.

        Raises:
            CallFailed: it raised.
            _Lost: it took too long, or the process ended.
        """
        self._last += 1
        number = self._last
        seconds = stage.transform.timeout
        try:
            body = pickle.dumps((stage.code, item))
        except (AttributeError, TypeError, pickle.PicklingError) as e:
            raise CallFailed(f"its input cannot be handed over: {e}") from e
        try:
            async with asyncio.timeout(seconds):
                return await self._ask(number, frame(number, body))
        except TimeoutError as e:
            alone, self._lost = not self._waiting and not self._lost, True
            reason = f"it took longer than {seconds:g} seconds"
            raise _Lost(reason, late=True, alone=alone) from e

    def kill(self) -> None:
        """Begin to end it, whatever it is doing."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> None:
        """End it; returns when it has."""
        self.kill()
        await asyncio.gather(self._process.wait(), self._listening, return_exceptions=True)

    async def _ask(self, number: int, data: bytes) -> list[Item]:
        if self._process.stdin is None or not self.alive:
            raise _Lost("its process ended")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._process.stdin.write(data)
            with contextlib.suppress(ConnectionError):  # `_listen` sees the end too
                await self._process.stdin.drain()
            made, reason = await future
        finally:
            self._waiting.pop(number, None)
        if reason:
            raise CallFailed(reason)
        return made

    async def _listen(self) -> None:
        """Hand out answers until the process ends."""
        try:
            while True:
                number, answer = await self._read()
                future = self._waiting.pop(number, None)
                if future is not None and not future.done():
                    future.set_result(answer)
        except EOFError:
            alone = len(self._waiting) == 1 and not self._lost
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(_Lost("it ended its process", alone=alone))

    async def _read(self) -> tuple[int, Answer]:
        if self._process.stdout is None:
            raise EOFError
        length = int.from_bytes(await self._process.stdout.readexactly(LENGTH), "big")
        body = await self._process.stdout.readexactly(length)
        return int.from_bytes(body[:NUMBER], "big"), _answer(body[NUMBER:])


def _answer(body: bytes) -> Answer:
    try:
        answer: Answer = pickle.loads(body)  # noqa: S301 - of a process of ours on the same file
    except Exception as e:  # noqa: BLE001 - whatever the classes in it do
        return [], f"it made what cannot be kept: {type(e).__name__}: {e}"
    return answer
