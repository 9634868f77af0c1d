"""Lets a search wait until a library has reached a version: reading one's own writes."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping

from ponant.kit.errors import BadRequest, Unavailable
from ponant.store import Scope

_LONGEST = 60.0  # seconds


class Waiting:
    """Knows who waits for which library's next version."""

    def __init__(self, version: Callable[[Scope, str], Awaitable[int]]) -> None:
        self._version = version
        self._moves: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def moved(self, library_id: str) -> None:
        """A library reached a new version."""
        if (move := self._moves.pop(library_id, None)) is not None:
            move.set()

    async def until(self, scope: Scope, at_least: Mapping[str, int], seconds: float) -> None:
        """Return once every library has reached its version.

        Raises:
            BadRequest: the time to wait is none.
            NotFound: a library is not there for this scope.
            Unavailable: one has not in time.
        """
        if not 0 <= seconds <= _LONGEST:
            raise BadRequest(f"The wait must be from 0 to {_LONGEST:.0f} seconds.", param="wait")
        deadline = asyncio.get_running_loop().time() + seconds
        for library_id, wanted in at_least.items():
            await self._reached(scope, library_id, wanted, deadline)

    async def _reached(self, scope: Scope, library_id: str, wanted: int, deadline: float) -> None:
        while await self._version(scope, library_id) < wanted:
            move = self._moves[library_id]
            # Looked at again, since a version that came before this was listening is not told.
            if (there := await self._version(scope, library_id)) >= wanted:
                return
            try:
                async with asyncio.timeout_at(deadline):
                    await move.wait()
            except TimeoutError as e:
                raise Unavailable(
                    f"The library {library_id} stands at version {there}; {wanted} was not reached "
                    "in time. Ask again, or wait longer.",
                    retry_after=1,
                ) from e
