"""The HTTP protocol of the server, which sends a response's head and body together.

uvicorn writes them apart, and uvloop sends each at once: two calls of the system, and a client that
is woken for a head without a body. What is written in one turn of the event loop leaves at its end.
"""

import asyncio
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_LARGE = 1 << 16  # bytes; so much goes at once, so that a slow client is noticed


class Gathering:
    """A transport's write side, for those who write piece by piece."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._pieces: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= _LARGE:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._flush()
        self._transport.set_protocol(protocol)

    def _flush(self) -> None:
        if self._pieces and not self._transport.is_closing():
            self._transport.write(b"".join(self._pieces))
        self._pieces.clear()
        self._size = 0


class GatheringProtocol(HttpToolsProtocol):
    """uvicorn's protocol over `Gathering`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", Gathering(transport))
