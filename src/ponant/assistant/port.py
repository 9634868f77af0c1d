"""What the assistant needs of models and of live knowledge, and no more."""

from collections.abc import Sequence
from typing import Protocol

from ponant.live.port import Library, SearchResult
from ponant.serving.port import TextModel
from ponant.store import Scope


class Models(Protocol):
    """Finds models by their id."""

    async def get(self, model_id: str, scope: Scope) -> TextModel: ...

    async def embedder(self, model_id: str = "embed") -> TextModel: ...

    async def forget(self, names: Sequence[str]) -> None: ...


class Access(Protocol):
    """Says what a scope may read."""

    async def readable(self, scope: Scope, document_ids: Sequence[str]) -> list[str]: ...

    async def closed(self, scope: Scope, document_ids: Sequence[str]) -> list[str]: ...


class Knowledge(Protocol):
    """Finds passages in the libraries of a scope."""

    @property
    def access(self) -> Access: ...

    async def get_library(self, scope: Scope, library_id: str) -> Library: ...

    async def search(
        self, scope: Scope, library_ids: Sequence[str], query: str, limit: int = 10
    ) -> SearchResult: ...
