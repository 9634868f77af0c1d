"""Where the answers to one request wait for whoever asked."""

import asyncio

from ponant.serving import wire
from ponant.serving.joining import joined


class Mailbox:
    """Tells in their order, taken as many at a time as have come; one reader takes them.

    A reader that falls behind its writer takes what waits in one piece, so that a server under
    load does less for each token, not more.
    """

    def __init__(self) -> None:
        self._tells: list[wire.Tell] = []
        self._reader: asyncio.Future[None] | None = None

    def put(self, tell: wire.Tell) -> None:
        self._tells.append(tell)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def take(self) -> wire.Tell:
        """The next tell; events in a row that only carry tokens come as one."""
        while not self._tells:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        if len(self._tells) > 1:
            self._tells = joined(self._tells)
        return self._tells.pop(0)
