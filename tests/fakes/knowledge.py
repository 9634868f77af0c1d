"""Libraries of a few passages each, found in the order in which a test put them there."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ponant.kit.errors import NotFound
from ponant.live.port import (
    Document,
    Freshness,
    Hit,
    Library,
    PassageRef,
    PassageState,
    PassageView,
    SearchResult,
)
from ponant.store import Scope

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def hit(name: str, text: str, library_id: str = "lib_1") -> Hit:
    """A passage that is a whole document."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Hit(
        passage_id=f"psg_{name}_{digest[:8]}",
        hash=digest,
        library_id=library_id,
        document_id=f"doc_{name}",
        document_name=name,
        document_version=1,
        text=text,
        start=0,
        end=len(text),
        heading="",
        score=1.0,
        keyword_rank=None,
        vector_rank=None,
    )


@dataclass
class _Shelf:
    workspace_id: str
    passages: dict[str, str] = field(default_factory=dict)
    version: int = 1


class FakeKnowledge:
    """Live knowledge without files: `put` and `remove` change it, a search returns all of it."""

    def __init__(self) -> None:
        self._shelves: dict[str, _Shelf] = {}
        self.queries: list[str] = []

    def put(self, scope: Scope, library_id: str, name: str, text: str) -> None:
        """A document, new or in the place of an older one."""
        shelf = self._shelves.setdefault(library_id, _Shelf(scope.workspace_id or ""))
        shelf.passages[name] = text
        shelf.version += 1

    def remove(self, library_id: str, name: str) -> None:
        del self._shelves[library_id].passages[name]

    @property
    def access(self) -> "FakeKnowledge":
        return self

    async def readable(self, scope: Scope, document_ids: Sequence[str]) -> list[str]:
        here = {found.document_id for found in self._hits(scope)}
        return [one for one in document_ids if one in here]

    async def closed(self, scope: Scope, document_ids: Sequence[str]) -> list[str]:
        return []

    async def get_library(self, scope: Scope, library_id: str) -> Library:
        shelf = self._shelf(scope, library_id)
        return Library(
            id=library_id,
            name=library_id,
            description="",
            created_at=NOW,
            updated_at=NOW,
            documents=len(shelf.passages),
            total_size=0,
            freshness=Freshness(state="in_step", version=shelf.version, as_of=NOW),
        )

    async def search(
        self, scope: Scope, library_ids: Sequence[str], query: str, limit: int = 10
    ) -> SearchResult:
        self.queries.append(query)
        shelves = [(library, self._shelf(scope, library)) for library in library_ids]
        hits = [
            hit(name, text, library)
            for library, shelf in shelves
            for name, text in shelf.passages.items()
        ]
        version = max(shelf.version for _, shelf in shelves)
        return SearchResult(hits=tuple(hits[:limit]), version=version, as_of=NOW)

    async def get_passage(self, scope: Scope, passage_id: str) -> PassageView:
        for found in self._hits(scope):
            if found.passage_id == passage_id:
                return PassageView(passage=found, document=_document(found), text=found.text)
        raise NotFound(f"There is no passage {passage_id}.")

    async def check_passages(
        self, scope: Scope, passages: Sequence[PassageRef]
    ) -> list[PassageState]:
        here = {found.passage_id: found.hash for found in self._hits(scope)}
        return [
            PassageState(
                id=one.id,
                state="current" if here.get(one.id) == one.hash else "gone",
                changed_at=None if here.get(one.id) == one.hash else NOW,
            )
            for one in passages
        ]

    def _shelf(self, scope: Scope, library_id: str) -> _Shelf:
        shelf = self._shelves.get(library_id)
        if shelf is None or shelf.workspace_id != scope.workspace_id:
            raise NotFound(f"There is no library {library_id}, or it is not yours.")
        return shelf

    def _hits(self, scope: Scope) -> list[Hit]:
        return [
            hit(name, text, library)
            for library, shelf in self._shelves.items()
            if shelf.workspace_id == scope.workspace_id
            for name, text in shelf.passages.items()
        ]


def _document(found: Hit) -> Document:
    return Document(
        id=found.document_id,
        library_id=found.library_id,
        source_id=None,
        name=found.document_name,
        path=found.document_name,
        media_type="text/markdown",
        size=len(found.text),
        version=1,
        state="indexed",
        message="",
        created_at=NOW,
        updated_at=NOW,
    )
