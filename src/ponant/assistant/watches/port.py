"""What watches need of live knowledge and of accounts, and no more."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ponant.accounts import Principal
from ponant.assistant.port import Access
from ponant.live.port import (
    Document,
    Library,
    Notice,
    PassageRef,
    PassageState,
    PassageView,
    SearchOptions,
    SearchResult,
)
from ponant.live.relations.port import Answer as Rows
from ponant.live.relations.port import Changed
from ponant.store import Scope


class StandingQueries(Protocol):
    """Searches that live knowledge keeps (`ponant.live.standing`)."""

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
    ) -> bool: ...

    async def remove(self, scope: Scope, query_id: str) -> None: ...

    async def moved(self, scope: Scope) -> list[str]: ...

    async def missing(self, scope: Scope, query_ids: Sequence[str]) -> list[str]: ...


class Tables(Protocol):
    """Live tables (`ponant.live.relations`)."""

    async def put_query(self, scope: Scope, name: str, sql: str) -> None: ...

    async def remove_query(self, scope: Scope, name: str) -> None: ...

    async def query(
        self, scope: Scope, sql: str, parameters: Any = None, limit: int = 100
    ) -> Rows: ...

    async def closed(self, scope: Scope, names: Sequence[str]) -> list[str]: ...

    async def all_changes(self, scope: Scope, after: int, limit: int) -> list[Changed]: ...


class Live(Protocol):
    """Live knowledge."""

    @property
    def access(self) -> Access: ...

    @property
    def standing(self) -> StandingQueries: ...

    @property
    def relations(self) -> Tables: ...

    async def get_library(self, scope: Scope, library_id: str) -> Library: ...

    async def get_document(self, scope: Scope, library_id: str, document_id: str) -> Document: ...

    async def get_passage(self, scope: Scope, passage_id: str) -> PassageView: ...

    async def search(
        self, scope: Scope, library_ids: Sequence[str], query: str, limit: int = 10
    ) -> SearchResult: ...

    async def check_passages(
        self, scope: Scope, passages: Sequence[PassageRef]
    ) -> list[PassageState]: ...

    def notices(self, part: str, listener: Callable[[Notice], None]) -> None: ...


class Owners(Protocol):
    """Says what somebody may do now. It asks the database: call it in a thread."""

    def present(self, owner: Scope, key_id: str | None) -> Principal | None: ...
