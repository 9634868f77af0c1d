"""Keeps pipelines running, each in a process of its own that is started anew with its file."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import structlog
from watchfiles import PythonFilter, awatch

from ponant.kit.errors import BadRequest, SetupError
from ponant.kit.settings import HIDDEN
from ponant.live.pipelines.memory import Failure, Memory, SourceNow
from ponant.live.pipelines.process import LOAD_FAILED, RunSpec, memory_file
from ponant.store import Scope

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_END_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class PipelineNow(msgspec.Struct, frozen=True, kw_only=True):
    """How a pipeline fares.

    Attributes:
        mend: what to do about the failures; empty where there are none.
    """

    name: str
    file: str
    state: str
    message: str
    sources: tuple[SourceNow, ...]
    failures: tuple[Failure, ...]
    mend: str = ""


class PipelineProcess:
    """One pipeline, kept running.

    A new text of the file, or of a Python file beside it, is tried first: one that cannot be
    loaded is shown, and what ran goes on.

    Args:
        told: called with what the pipeline tells of its sources.
        said: called with sentences for whoever looks on.
    """

    def __init__(
        self,
        file: Path,
        home: Path,
        scope: Scope,
        told: Callable[[SourceNow], None] = lambda _: None,
        said: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.file = file
        self.state, self.message = "starting", ""
        self._spec = RunSpec(file=str(file), home=str(home), scope=scope)
        self._told, self._said = told, said
        self._changed = asyncio.Event()

    async def run(self, *, reload: bool = True) -> None:
        """Run until cancelled."""
        watching = asyncio.create_task(self._watch()) if reload else None
        pause = _FIRST_PAUSE
        try:
            while True:
                self._changed.clear()
                process = await self._start(self._spec)
                self.state, self.message = "running", ""
                begun = asyncio.get_running_loop().time()
                code = await self._until_changed(process)
                if code is None:
                    pause = _FIRST_PAUSE
                    continue
                self.state = "error"
                self._say(self.message or f"The pipeline ended with code {code}.")
                if asyncio.get_running_loop().time() - begun > _LONGEST_PAUSE:
                    pause = _FIRST_PAUSE
                wait = None if code == LOAD_FAILED and reload else pause
                await _set_within(self._changed, wait)
                pause = min(2 * pause, _LONGEST_PAUSE)
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)

    async def _until_changed(self, process: asyncio.subprocess.Process) -> int | None:
        """Wait for the process's end, or end it for a new text; then there is no code."""
        listening = asyncio.create_task(self._listen(process))
        try:
            while True:
                changed = asyncio.create_task(self._changed.wait())
                await asyncio.wait((listening, changed), return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if not self._changed.is_set():
                    return await process.wait()
                self._changed.clear()
                if await self._can_load():
                    return None
        finally:
            await _end(process)
            await asyncio.gather(listening, return_exceptions=True)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        async def errors() -> None:
            if process.stderr is not None:
                async for line in process.stderr:
                    self.message = line.decode(errors="replace").strip() or self.message

        reading = asyncio.create_task(errors())
        if process.stdout is not None:
            async for line in process.stdout:
                with contextlib.suppress(msgspec.DecodeError):
                    self._told(msgspec.json.decode(line, type=SourceNow))
        await reading

    async def _can_load(self) -> bool:
        process = await self._start(msgspec.structs.replace(self._spec, check=True))
        try:
            _, errors = await process.communicate()
        finally:
            await _end(process)
        if process.returncode == 0:
            self._say(f"{self.file.name} changed: running it anew.")
            return True
        reason = errors.decode(errors="replace").strip().rsplit("\n", 1)[-1]
        self.message = f"The new text cannot run, so the old one goes on: {reason}"
        self._say(self.message)
        return False

    async def _start(self, spec: RunSpec) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ponant.live.pipelines.process",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=2**20,
            env={name: value for name, value in os.environ.items() if name not in HIDDEN},
            start_new_session=True,
        )
        if process.stdin is not None:
            process.stdin.write(msgspec.json.encode(spec) + b"\n")
            with contextlib.suppress(ConnectionError):
                await process.stdin.drain()
        return process

    async def _watch(self) -> None:
        async for _ in awatch(
            self.file.parent, watch_filter=PythonFilter(), step=20, debounce=100, rust_timeout=1000
        ):
            self._changed.set()

    def _say(self, message: str) -> None:
        self._said(message)
        _log.info("A pipeline.", file=str(self.file), message=message)


class Pipelines:
    """The pipelines that the operator has the server run (PONANT_PIPELINES).

    Raises:
        SetupError: two files have one name.
    """

    def __init__(self, files: Sequence[Path], home: Path, scope: Scope) -> None:
        names = [file.stem for file in files]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise SetupError(f"PONANT_PIPELINES names two pipelines {twice}. Rename one.")
        self._home = home
        self._pipelines = [PipelineProcess(file, home, scope) for file in files]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start every pipeline; returns before they run."""
        self._tasks = [asyncio.create_task(one.run()) for one in self._pipelines]

    async def close(self) -> None:
        """End every pipeline; what was stored is stored."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def list(self) -> list[PipelineNow]:
        """How they fare."""
        return [await asyncio.to_thread(self._now, one) for one in self._pipelines]

    async def replay(self, name: str) -> int:
        """Bring what failed through again; returns how much that is.

        Raises:
            BadRequest: the server runs no such pipeline.
        """
        if all(one.file.stem != name for one in self._pipelines):
            raise BadRequest(f"The server runs no pipeline {name}.")
        return await asyncio.to_thread(replay, self._home, name)

    def _now(self, process: PipelineProcess) -> PipelineNow:
        return pipeline_now(self._home, process.file, process.state, process.message)


def pipeline_now(home: Path, file: Path, state: str, message: str) -> PipelineNow:
    """What a pipeline's memory says of it."""
    path = memory_file(home, file.stem)
    sources: tuple[SourceNow, ...] = ()
    failures: tuple[Failure, ...] = ()
    if path.exists():
        memory = Memory(path)
        sources, failures = tuple(memory.states()), tuple(memory.failures())
        memory.close()
    mend = (
        f"Mend what they name, or {file.name}; after anything but an edit of the code: "
        f"ponant live replay {file.stem}"
    )
    return PipelineNow(
        name=file.stem,
        file=str(file),
        state=state,
        message=message,
        sources=sources,
        failures=failures,
        mend=mend if failures else "",
    )


def replay(home: Path, name: str) -> int:
    """Ask a pipeline to bring what failed through again, now or when it next runs.

    Raises:
        BadRequest: there is no such pipeline.
    """
    path = memory_file(home, name)
    if not path.exists():
        raise BadRequest(f"No pipeline {name} has run here.")
    memory = Memory(path)
    waiting = memory.failures()
    memory.forget_inputs(waiting)
    memory.wish("retry")
    memory.close()
    return len(waiting)


async def _set_within(event: asyncio.Event, seconds: float | None) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    await process.wait()
