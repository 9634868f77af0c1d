"""Turns files into text: plain text here, everything else in processes that may be lost."""

import asyncio
import contextlib
import os
import signal
import struct
import sys
import tempfile

import msgspec

from ponant.live.reading.confinement import MEMORY_BYTES
from ponant.live.reading.decoding import LONGEST_TEXT, as_utf8
from ponant.live.reading.media import LARGEST_FILE, MEDIA_TYPES, PICTURES, is_plain
from ponant.live.reading.parser import OUT_OF_MEMORY, Parse, Parsed, frame

__all__ = ["LARGEST_FILE", "MEDIA_TYPES", "Parser", "UnreadableDocument", "too_large"]

SECONDS = 60.0  # of computing that a file may take
_PICTURE_SECONDS = 240.0  # where pages may have to be looked at: a third of a second each
_GRACE = 2.5  # times that until a process that does not answer is given up
_IDLE_SECONDS = 30.0  # before a process that has nothing to do ends
_PROCESSES = 2  # a long file must not hold up a short one
_INLINE = 2**20  # bytes that are decoded at once; more take long enough for a thread

_AGAIN = "Save it anew or in another format, and it is read again."
_PICTURED = frozenset(PICTURES.values()) | {MEDIA_TYPES[".pdf"], MEDIA_TYPES[".zip"]}


class UnreadableDocument(Exception):
    """A file that cannot be turned into text; the message says why and what to do."""


def too_large(thing: str, size: int) -> UnreadableDocument:
    """What to say of something that is larger than `LARGEST_FILE` bytes."""
    most = LARGEST_FILE // 2**20
    return UnreadableDocument(f"The {thing} has {size // 2**20} MiB; the most is {most}. Split it.")


class Parser:
    """A few parser processes, started when there is work and after each loss.

    Args:
        seconds: of computing that a file may take; None is what its kind is given.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = seconds
        self._idle: list[_Child] = []
        self._turns = asyncio.Semaphore(_PROCESSES)
        self._children: set[_Child] = set()
        self._closing: asyncio.TimerHandle | None = None
        self._ends: set[asyncio.Task[None]] = set()

    async def text(self, data: bytes, media_type: str) -> str:
        """The text of a file, as Markdown where the file has structure.

        Raises:
            UnreadableDocument: the file is damaged, of another kind, or asks too much.
        """
        if len(data) > LARGEST_FILE:
            raise too_large("file", len(data))
        if is_plain(media_type) and (text := await _decoded(data)) is not None:
            return text
        seconds = self._seconds or (_PICTURE_SECONDS if media_type in _PICTURED else SECONDS)
        parsed = await self._ask(Parse(data, media_type, seconds))
        if parsed.error:
            raise UnreadableDocument(
                f"The file cannot be read: {parsed.error}. {parsed.mend or _AGAIN}"
            )
        return parsed.text

    async def close(self) -> None:
        """End the processes."""
        if self._closing is not None:
            self._closing.cancel()
        await asyncio.gather(*(child.end() for child in self._children), *self._ends)
        self._children.clear()
        self._idle.clear()

    async def _ask(self, task: Parse) -> Parsed:
        async with self._turns:
            child = self._idle.pop() if self._idle else None
            if child is None or not child.alive:
                child = await _Child.start()
                self._children.add(child)
            try:
                parsed = await child.parse(task)
            except BaseException:  # a cancelled exchange leaves half an answer behind
                self._children.discard(child)
                await child.end()
                raise
            if child.alive:
                self._idle.append(child)
            else:
                self._children.discard(child)
        self._rest()
        return parsed

    def _rest(self) -> None:
        """End idle processes a while after the last file, since each holds its memory."""
        if self._closing is not None:
            self._closing.cancel()
        loop = asyncio.get_running_loop()
        self._closing = loop.call_later(_IDLE_SECONDS, self._end_idle)

    def _end_idle(self) -> None:
        idle, self._idle = self._idle, []
        self._children.difference_update(idle)
        for child in idle:
            task = asyncio.ensure_future(child.end())
            self._ends.add(task)
            task.add_done_callback(self._ends.discard)


class _Child:
    """One parser process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls) -> "_Child":
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "ponant.live.reading.parser",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                cwd=tempfile.gettempdir(),
                env=_environment(),
                start_new_session=True,
            )
        )

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def parse(self, task: Parse) -> Parsed:
        """Have it read a file; where that ends the process, the answer says how."""
        try:
            async with asyncio.timeout(_GRACE * task.seconds + 5):
                return await _exchange(self._process, task)
        except TimeoutError:
            await self.end()
            return Parsed(error=f"reading it took longer than {task.seconds:.0f} seconds")
        except (EOFError, OSError):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), 1)
            error = _cause(self._process.returncode, task.seconds)
            await self.end()
            return Parsed(error=error)

    async def end(self) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()


async def _decoded(data: bytes) -> str | None:
    text = as_utf8(data) if len(data) <= _INLINE else await asyncio.to_thread(as_utf8, data)
    if text is not None and len(text) > LONGEST_TEXT:
        raise UnreadableDocument(
            f"The file cannot be read: its text is longer than {LONGEST_TEXT:,} characters. "
            "Split it."
        )
    return text


def _environment() -> dict[str, str]:
    """What a parser could leak it should not have: no settings, no keys."""
    names = ("PATH", "PYTHONPATH", "LANG", "TMPDIR", "TESSDATA_PREFIX")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return kept | {"OMP_THREAD_LIMIT": "1"}  # one core for a file


def _cause(code: int | None, seconds: float) -> str:
    """What ended a parser process, from its exit status."""
    if code == -signal.SIGXCPU or code == 1:  # the system's limit, or the watchdog's
        return f"reading it took longer than {seconds:.0f} seconds"
    if code in (-signal.SIGABRT, OUT_OF_MEMORY):
        return f"it needs more memory than the {MEMORY_BYTES // 2**30} GiB that a document may take"
    return "it broke its parser"


async def _exchange(process: asyncio.subprocess.Process, task: Parse) -> Parsed:
    if process.stdin is None or process.stdout is None:
        raise EOFError
    process.stdin.write(frame(msgspec.msgpack.encode(task)))
    await process.stdin.drain()
    (length,) = struct.unpack(">I", await process.stdout.readexactly(4))
    return msgspec.msgpack.decode(await process.stdout.readexactly(length), type=Parsed)
