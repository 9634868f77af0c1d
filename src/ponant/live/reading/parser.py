"""The process that parses documents: what it reads may be hostile, so it may do little.

It takes one file at a time on standard input and answers on standard output, each message a
length (4 bytes, big-endian) and MessagePack. Memory and time are limited from inside: the system
refuses memory past the limit, ends a process that computes too long, and a watchdog ends one that
hangs.
"""

import faulthandler
import os
import struct
import sys
from typing import BinaryIO

import msgspec

from ponant.kit.pipes import take_standard_output
from ponant.live.reading.confinement import allow_seconds, confine
from ponant.live.reading.extracting import text_of
from ponant.live.reading.refusal import Refusal

# What a process that cannot even answer exits with; the watchdog's exit status is 1.
OUT_OF_MEMORY, BROKEN = 3, 4
_WALL = 2.0  # times the computing time that a file may take on a busy machine


class Parse(msgspec.Struct, frozen=True):
    """A file to read, and the seconds of computing that it may take."""

    data: bytes
    media_type: str
    seconds: float


class Parsed(msgspec.Struct, frozen=True):
    """Its text as Markdown, or what went wrong as a clause without a full stop, and its mend."""

    text: str = ""
    error: str = ""
    mend: str = ""


def main() -> None:
    """Serve until standard input ends."""
    confine()
    sys.excepthook = _end
    stdin, send = sys.stdin.buffer, take_standard_output()
    while (message := read_frame(stdin)) is not None:
        task = msgspec.msgpack.decode(message, type=Parse)
        allow_seconds(task.seconds)
        faulthandler.dump_traceback_later(_WALL * task.seconds, exit=True)
        parsed = parse(task)
        faulthandler.cancel_dump_traceback_later()
        send(frame(msgspec.msgpack.encode(parsed)))


def _end(kind: type[BaseException], *_: object) -> None:
    """Tell by the exit status what nothing caught; to end in order takes memory, too."""
    os._exit(OUT_OF_MEMORY if issubclass(kind, MemoryError) else BROKEN)


def parse(task: Parse) -> Parsed:
    """Read one file."""
    try:
        return Parsed(text=text_of(task.data, task.media_type))
    except Refusal as e:
        return Parsed(error=e.reason, mend=e.mend)
    except MemoryError:
        return Parsed(error="it needs more memory than a document may take")


def frame(message: bytes) -> bytes:
    return struct.pack(">I", len(message)) + message


def read_frame(stream: BinaryIO) -> bytes | None:
    head = stream.read(4)
    if len(head) < 4:
        return None
    (length,) = struct.unpack(">I", head)
    return stream.read(length)


if __name__ == "__main__":
    main()
