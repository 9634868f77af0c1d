"""Turns files into text: plain text here, everything else in a process that may be lost."""

import asyncio
import contextlib
import os
import struct
import sys
import tempfile

import msgspec

from ponant.live.reading.parser import LONGEST_TEXT, SECONDS, Parse, Parsed, frame

MEDIA_TYPES = {
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".htm": "text/html",
    ".html": "text/html",
    ".markdown": "text/markdown",
    ".md": "text/markdown",
    ".pdf": "application/pdf",
    ".txt": "text/plain",
}
LARGEST_FILE = 100 * 2**20  # bytes

_PLAIN = frozenset({"text/markdown", "text/plain"})


class UnreadableDocument(Exception):
    """A file that cannot be turned into text; the message is a sentence for people."""


class Parser:
    """One long-lived parser process, started at the first need and after each loss."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._alone = asyncio.Lock()

    async def text(self, data: bytes, media_type: str) -> str:
        """The text of a file, as Markdown where the file has structure.

        Raises:
            UnreadableDocument: the file is damaged, of another kind, or asks too much.
        """
        if media_type in _PLAIN:
            return _decode(data)
        async with self._alone:
            parsed = await self._ask(Parse(data, media_type))
        if parsed.error:
            raise UnreadableDocument(f"The file cannot be read: {parsed.error}.")
        return _clean(parsed.text)

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _ask(self, task: Parse) -> Parsed:
        if self._process is None or self._process.returncode is not None:
            self._process = await _start()
        try:
            async with asyncio.timeout(SECONDS + 5):
                return await _exchange(self._process, task)
        except (EOFError, OSError, TimeoutError) as e:
            await self.close()
            raise UnreadableDocument(
                "The file cannot be read: it took too much time or memory."
            ) from e
        except BaseException:
            await self.close()  # a cancelled exchange leaves half an answer behind
            raise


async def _start() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ponant.live.reading.parser",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=tempfile.gettempdir(),
        # What a parser could leak it should not have: no settings, no keys.
        env={name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ},
        start_new_session=True,
    )


async def _exchange(process: asyncio.subprocess.Process, task: Parse) -> Parsed:
    if process.stdin is None or process.stdout is None:
        raise EOFError
    process.stdin.write(frame(msgspec.msgpack.encode(task)))
    await process.stdin.drain()
    (length,) = struct.unpack(">I", await process.stdout.readexactly(4))
    return msgspec.msgpack.decode(await process.stdout.readexactly(length), type=Parsed)


def _decode(data: bytes) -> str:
    """Text of unknown encoding: with its mark, as UTF-8, or as what Windows wrote."""
    if b"\0" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableDocument("The file cannot be read: it is not text.")
    for encoding in _encodings(data):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if len(text) > LONGEST_TEXT:
            raise UnreadableDocument(
                f"The file cannot be read: its text is longer than {LONGEST_TEXT:,} characters."
            )
        return _clean(text)
    raise UnreadableDocument("The file cannot be read: its encoding is unknown.")


def _encodings(data: bytes) -> tuple[str, ...]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ("utf-16",)
    return ("utf-8-sig", "cp1252", "latin-1")


def _clean(text: str) -> str:
    """The same line ends everywhere, and no signs that a database or a screen stumbles over."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
