"""Tells listeners of changes: soon, and what happens close together in one message."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ponant.kit.errors import NotFound
from ponant.kit.tasks import Tasks
from ponant.live.indexing.index import DocumentChange
from ponant.live.port import Change, Freshness
from ponant.store import Scope

_SECONDS = 0.05  # what happens within is told together


class Teller:
    """Collects what happens to each library and tells how it stands then.

    Args:
        listener: told of every change, on the event loop.
        freshness: how a library stands now; NotFound where it is gone.
    """

    def __init__(
        self,
        listener: Callable[[Change], None],
        freshness: Callable[[Scope, str], Awaitable[Freshness]],
    ) -> None:
        self._listener = listener
        self._freshness = freshness
        self._untold: dict[str, list[DocumentChange]] = {}
        self._announced: set[str] = set()
        self._tasks = Tasks("telling of changes")
        self._in_order = asyncio.Lock()  # or a slow reading would be told after a newer one

    def moved(self, scope: Scope, library_id: str, documents: Sequence[DocumentChange]) -> None:
        """Documents changed with a new version."""
        self._untold.setdefault(library_id, []).extend(documents)
        self.announce(scope, library_id)

    def announce(self, scope: Scope, library_id: str) -> None:
        """A library stands differently to its sources."""
        if library_id not in self._announced:
            self._announced.add(library_id)
            self._tasks.spawn(self._tell_soon(scope, library_id))

    def ended(
        self, scope: Scope, library_id: str, last: Freshness, documents: Sequence[tuple[str, str]]
    ) -> None:
        """A library was deleted, with documents of these ids and names."""
        untold = self._untold.pop(library_id, [])
        gone: list[DocumentChange] = [(key, name, "deleted") for key, name in documents]
        self._tell(scope, library_id, last, [*untold, *gone])

    async def close(self) -> None:
        """Tell no more."""
        await self._tasks.close()

    async def _tell_soon(self, scope: Scope, library_id: str) -> None:
        await asyncio.sleep(_SECONDS)
        async with self._in_order:
            self._announced.discard(library_id)
            documents = self._untold.pop(library_id, [])
            try:
                freshness = await self._freshness(scope, library_id)
            except NotFound:
                return  # deleted meanwhile, which was told
            self._tell(scope, library_id, freshness, documents)

    def _tell(
        self, scope: Scope, library_id: str, fresh: Freshness, documents: Sequence[DocumentChange]
    ) -> None:
        self._listener(
            Change(
                workspace_id=scope.workspace_id or "",
                library_id=library_id,
                version=fresh.version,
                as_of=fresh.as_of,
                documents=tuple(documents),
                freshness=fresh,
            )
        )
