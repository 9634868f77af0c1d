"""The process that parses documents: what it reads may be hostile, so it may do little.

It takes one file at a time on standard input and answers on standard output, each message a
length (4 bytes, big-endian) and MessagePack. Memory and time are limited from inside: the system
refuses memory past the limit, and a watchdog ends the process when a parser hangs.
"""

import faulthandler
import os
import resource
import struct
import sys
from typing import Any, BinaryIO

import msgspec

MEMORY_BYTES = 3 * 2**30
SECONDS = 60.0
LONGEST_TEXT = 20_000_000  # characters

_OPTIONS: dict[str, Any] = {"use_cache": False, "disable_ocr": True, "output_format": "markdown"}


class Parse(msgspec.Struct, frozen=True):
    """A file to read."""

    data: bytes
    media_type: str


class Parsed(msgspec.Struct, frozen=True):
    """Its text as Markdown, or what went wrong as a clause without a full stop."""

    text: str = ""
    error: str = ""


def main() -> None:
    """Serve until standard input ends."""
    _limit()
    stdin, stdout = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not break the framing
    while (message := read_frame(stdin)) is not None:
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        parsed = parse(msgspec.msgpack.decode(message, type=Parse))
        faulthandler.cancel_dump_traceback_later()
        stdout.write(frame(msgspec.msgpack.encode(parsed)))
        stdout.flush()


def parse(task: Parse) -> Parsed:
    """Read one file with kreuzberg."""
    from kreuzberg import ExtractionConfig, KreuzbergError, extract_bytes_sync  # noqa: PLC0415

    try:
        config = ExtractionConfig(**_OPTIONS)
        text = extract_bytes_sync(task.data, task.media_type, config=config).content
    except KreuzbergError as e:
        return Parsed(error=_first_clause(str(e)))
    except MemoryError:
        return Parsed(error="it needs more memory than a document may take")
    if len(text) > LONGEST_TEXT:
        return Parsed(error=f"its text is longer than {LONGEST_TEXT:,} characters")
    return Parsed(text=_without_front_matter(text))


def frame(message: bytes) -> bytes:
    return struct.pack(">I", len(message)) + message


def read_frame(stream: BinaryIO) -> bytes | None:
    head = stream.read(4)
    if len(head) < 4:
        return None
    (length,) = struct.unpack(">I", head)
    return stream.read(length)


def _first_clause(message: str) -> str:
    """A library's message in short: ``ParsingError: Invalid PDF: Pdfium…`` → ``Invalid PDF``."""
    parts = [part.strip() for part in message.split(":")]
    telling = [part for part in parts if part and not part.endswith("Error")]
    return (telling or ["it is damaged or of another kind"])[0][:200]


def _without_front_matter(text: str) -> str:
    """The text without the metadata that kreuzberg puts above an HTML page's."""
    if not text.startswith("---\n\n"):
        return text
    _, found, rest = text[5:].partition("\n\n")
    return rest if found else text


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # elsewhere the limit is not kept or counts shared memory
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


if __name__ == "__main__":
    main()
