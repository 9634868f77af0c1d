"""Standing queries as other processes ask for them."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from ponant.live.port import PassageRef, SearchOptions
from ponant.store import Scope

_R = TypeVar("_R")


class Calling(Protocol):
    """Calls a method of the live process."""

    async def call(
        self, kind: type[_R] | None, method: str, scope: Scope, /, **arguments: Any
    ) -> _R: ...


class StandingClient:
    """The part ``standing`` of live knowledge, asked over the local socket."""

    def __init__(self, live: Calling) -> None:
        self._live = live

    async def put(
        self,
        scope: Scope,
        query_id: str,
        library_ids: Sequence[str],
        query: str,
        limit: int,
        evidence: Sequence[PassageRef],
        pinned: Sequence[PassageRef] = (),
        options: SearchOptions | None = None,
    ) -> bool:
        """Keep a query with the eyes of ``scope``; whether its evidence moved already."""
        arguments = {
            "query_id": query_id,
            "library_ids": list(library_ids),
            "query": query,
            "limit": limit,
            "evidence": list(evidence),
            "pinned": list(pinned),
            "options": options,
        }
        return await self._live.call(bool, "standing.put", scope, **arguments)

    async def remove(self, scope: Scope, query_id: str) -> None:
        """Keep a query no longer."""
        await self._live.call(None, "standing.remove", scope, query_id=query_id)

    async def moved(self, scope: Scope) -> list[str]:
        """The workspace's queries whose evidence moved since they were put."""
        return await self._live.call(list[str], "standing.moved", scope)

    async def missing(self, scope: Scope, query_ids: Sequence[str]) -> list[str]:
        """Which of these are not kept there."""
        return await self._live.call(
            list[str], "standing.missing", scope, query_ids=list(query_ids)
        )
