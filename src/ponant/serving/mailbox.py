"""Where the answers to one request wait for whoever asked."""

import asyncio
from collections import deque

from ponant.engine import Event
from ponant.serving import wire


class Mailbox:
    """Tells in their order, taken as many at a time as have come.

    A reader that falls behind its writer takes what waits in one piece, so that a server under
    load does less for each token, not more.
    """

    def __init__(self) -> None:
        self._tells: deque[wire.Tell] = deque()
        self._news = asyncio.Event()

    def put(self, tell: wire.Tell) -> None:
        self._tells.append(tell)
        self._news.set()

    async def take(self) -> wire.Tell:
        """The next tell; events in a row that only carry tokens come as one."""
        while not self._tells:
            self._news.clear()
            await self._news.wait()
        tell = self._tells.popleft()
        if not isinstance(tell, wire.Happened):
            return tell
        event = tell.event
        while event.finish is None and (following := self._following()) is not None:
            event = _together(event, following)
        return wire.Happened(event)

    def _following(self) -> Event | None:
        """Take the next tell where it is an event that may be told together with one before."""
        tell = self._tells[0] if self._tells else None
        if not isinstance(tell, wire.Happened) or tell.event.error is not None:
            return None
        self._tells.popleft()
        return tell.event


def _together(first: Event, second: Event) -> Event:
    return Event(
        request_id=first.request_id,
        tokens=first.tokens + second.tokens,
        prompt_tokens=first.prompt_tokens + second.prompt_tokens,
        cached_tokens=first.cached_tokens or second.cached_tokens,
        finish=second.finish,
        usage=second.usage,
    )
