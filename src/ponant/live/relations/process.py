"""Keeps the tables' process: started when first needed, and again when it ended."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog

from ponant.kit.errors import Unavailable
from ponant.live.relations.frames import (
    LENGTH,
    Ask,
    Event,
    Reply,
    TablesSpec,
    decode_said,
    frame,
)
from ponant.live.relations.port import Changed

_ANSWER_SECONDS = 55.0
_LOST = "The tables' process ended, as a query may have needed too much memory. Try again."

_log = structlog.get_logger(__name__)
_R = TypeVar("_R")


class TablesProcess:
    """Calls to the process that owns every workspace's tables.

    Args:
        changed: told of the changes of standing queries, on the event loop.
    """

    def __init__(self, spec: TablesSpec, changed: Callable[[Changed], None]) -> None:
        self._spec = spec
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()
        self._numbers = count()
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._listening: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process while it runs."""
        return None if self._process is None else self._process.pid

    async def start_where_needed(self) -> None:
        """Start at once where there are tables, for their standing queries."""
        if await asyncio.to_thread(_has_tables, Path(self._spec.folder)):
            await self._running()

    async def close(self) -> None:
        """End the process; what was stored is stored."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if self._process is not None:
            await _end(self._process)

    async def call(
        self, kind: type[_R] | None, workspace_id: str, method: str, /, **arguments: Any
    ) -> _R:
        """What a method of a `Workspace` answers.

        Raises:
            Unavailable: the process ended meanwhile, or did not answer.
            PonantError: what the method raised.
        """
        process = await self._running()
        number = next(self._numbers)
        self._calls[number] = answer = asyncio.get_running_loop().create_future()
        try:
            if process.stdin is None:
                raise Unavailable(_LOST, retry_after=1)
            process.stdin.write(frame(Ask(number, workspace_id, method, arguments)))
            await process.stdin.drain()
            async with asyncio.timeout(_ANSWER_SECONDS):
                raw = await answer
        except (ConnectionError, TimeoutError) as e:
            raise Unavailable(_LOST, retry_after=1) from e
        finally:
            self._calls.pop(number, None)
        return msgspec.msgpack.decode(raw, type=kind)

    async def _running(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                self._process = await self._start()
                self._listening = asyncio.create_task(self._listen(self._process))
            return self._process

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ponant.live.relations.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if "PONANT" not in name}
            | {"OMP_NUM_THREADS": "1"},
        )
        if process.stdin is not None:
            process.stdin.write(msgspec.json.encode(self._spec) + b"\n")
        return process

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        try:
            if process.stdout is None:
                return
            while True:
                head = await process.stdout.readexactly(LENGTH)
                body = await process.stdout.readexactly(int.from_bytes(head, "big"))
                self._take(decode_said(body))
        except asyncio.IncompleteReadError:
            _log.error("The tables' process ended; it is started again when needed.")
        finally:
            await _end(process)
            for answer in self._calls.values():
                if not answer.done():
                    answer.set_exception(Unavailable(_LOST, retry_after=1))

    def _take(self, said: Reply | Event) -> None:
        if isinstance(said, Event):
            self._changed(said.changed)
            return
        answer = self._calls.get(said.id)
        if answer is None or answer.done():
            return
        if said.failure is None:
            answer.set_result(said.result)
        else:
            answer.set_exception(said.failure.error())


def _has_tables(folder: Path) -> bool:
    return any(folder.glob("*.duckdb"))


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await process.wait()
