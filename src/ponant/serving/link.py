"""Whole messages in their order, over a stream socket between the server and one worker.

Each is preceded by its length. The socket is read and written by the event loop itself: a thread
in between would have to be woken for every message on either side.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

_LENGTH = struct.Struct("<I")


class Link(asyncio.Protocol):
    """One end of the connection.

    Args:
        hear: called with each message. What it raises ends the connection.

    Attributes:
        lost: done once the connection has ended, with what ``hear`` raised where that ended it.
    """

    def __init__(self, hear: Callable[[bytearray], None]) -> None:
        self._hear = hear
        self._transport: asyncio.Transport | None = None
        self._waiting = bytearray()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, message: bytes) -> None:
        """Send soon, without waiting and whatever else waits. Nothing happens once it is lost."""
        if self._transport is not None:
            self._transport.write(_LENGTH.pack(len(message)) + message)

    def close(self) -> None:
        """End the connection when what was sent has left."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not derived from it

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while len(self._waiting) >= _LENGTH.size and not self.lost.done():
            end = _LENGTH.size + _LENGTH.unpack_from(self._waiting)[0]
            if len(self._waiting) < end:
                return
            message = self._waiting[_LENGTH.size : end]
            del self._waiting[:end]
            try:
                self._hear(message)
            except Exception as e:  # noqa: BLE001 - it belongs to whoever waits for the end
                self.lost.set_exception(e)
                self.close()

    def connection_lost(self, _: Exception | None) -> None:
        # A process that is killed leaves the connection with a fault or without, as it falls out.
        if not self.lost.done():
            self.lost.set_result(None)


async def linked(end: socket.socket, hear: Callable[[bytearray], None]) -> Link:
    """A link over one end of a pair of sockets, which it owns from now on."""
    loop = asyncio.get_running_loop()
    _, link = await loop.create_unix_connection(lambda: Link(hear), sock=end)
    return link
