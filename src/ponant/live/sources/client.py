"""Sources, asked by other processes."""

from collections.abc import Sequence
from typing import Any, Protocol

from ponant.live.port import Source
from ponant.live.sources.kinds import KindView
from ponant.live.sources.push import Pushed, PushedDeletion, PushedDocument
from ponant.store import Scope


class Caller(Protocol):
    """`LiveClient.call`."""

    async def __call__(self, kind: Any, method: str, scope: Scope, /, **arguments: Any) -> Any: ...


class SourcesClient:
    """The methods of `ponant.live.sources.followers.Followers`, over the local socket."""

    def __init__(self, call: Caller) -> None:
        self._call = call

    async def push(
        self,
        scope: Scope,
        library_id: str,
        documents: Sequence[PushedDocument],
        deletions: Sequence[PushedDeletion] = (),
    ) -> Pushed:
        """Push documents into a library; a search for at least the answer's version sees them."""
        found: Pushed = await self._call(
            Pushed,
            "sources.push",
            scope,
            library_id=library_id,
            documents=list(documents),
            deletions=list(deletions),
        )
        return found

    async def retry(self, scope: Scope, library_id: str, source_id: str | None = None) -> int:
        """Read again what could not be read; returns how many documents that are."""
        found: int = await self._call(
            int, "sources.retry", scope, library_id=library_id, source_id=source_id
        )
        return found

    async def sign_in(
        self,
        scope: Scope,
        library_id: str,
        source_id: str,
        secrets: dict[str, str],
        config: dict[str, Any] | None = None,
    ) -> Source:
        """Give a source other secrets, and settings that say who signs in."""
        found: Source = await self._call(
            Source,
            "sources.sign_in",
            scope,
            library_id=library_id,
            source_id=source_id,
            secrets=secrets,
            config=config,
        )
        return found

    async def kinds(self, scope: Scope) -> list[KindView]:
        """The kinds of sources that there are."""
        found: list[KindView] = await self._call(list[KindView], "sources.kinds", scope)
        return found
