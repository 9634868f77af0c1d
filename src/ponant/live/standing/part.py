"""Keeps standing queries: registered, matched when passages change, searched again when met.

A version of a library goes through here after it is stored. Queries that it may concern are found
in bulk (`matching`), only those are searched again, and only where a search now admits other
passages than before is anybody told. What is told is stored first, so a listener that was away
asks for it with `moved`.
"""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from typing import ClassVar, ParamSpec, Protocol, TypeVar

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from ponant.kit import PonantError
from ponant.kit.errors import NotFound
from ponant.live.indexing.index import Moved
from ponant.live.indexing.search import Ranking
from ponant.live.port import Notice, PassageRef, SearchOptions, SearchResult
from ponant.live.standing.finding import Finder
from ponant.live.standing.matching import Matcher, State
from ponant.live.standing.query import Asking, Found, Query, name, row_of
from ponant.live.standing.shelf import Shelf
from ponant.store import Database, Scope

_REMEMBERED = 256  # searches; who keeps one has just made it

_log = structlog.get_logger(__name__)
_P = ParamSpec("_P")
_R = TypeVar("_R")
Vector = NDArray[np.float32]


class Searching(Protocol):
    """A search with a vector at hand."""

    async def __call__(
        self,
        scope: Scope,
        library_ids: Sequence[str],
        query: str,
        vector: Vector | None,
        limit: int,
        options: SearchOptions,
    ) -> tuple[SearchResult, Ranking]: ...


class Running(Protocol):
    """Runs a function on another thread."""

    async def __call__(
        self, function: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> _R: ...


class Embedding(Protocol):
    """A query's vector, remembered for its workspace; None where there is no embedder."""

    async def __call__(self, text: str, workspace_id: str | None = None) -> Vector | None: ...


class Standing:
    """The standing queries of an installation.

    Args:
        read, write: run a function on a thread that reads, or on the one that writes.
        tell: told which queries moved, after that is stored.

    Attributes:
        searched: how many times a candidate was searched again.
    """

    METHODS: ClassVar[frozenset[str]] = frozenset({"missing", "moved", "put", "remove"})

    def __init__(
        self,
        database: Database,
        *,
        read: Running,
        write: Running,
        search: Searching,
        embed: Embedding,
        identity: Callable[[], str | None],
        tell: Callable[[Notice], None],
    ) -> None:
        self._shelf = Shelf(database)
        self._finder = Finder(database)
        self._read = read
        self._write = write
        self._search = search
        self._embed = embed
        self._identity = identity
        self._tell = tell
        self._queries: dict[str, Query] = {}
        self._matcher = Matcher()
        self._libraries: set[str] = set()  # whose versions are noticed
        self._searches: OrderedDict[Asking, Found] = OrderedDict()
        self._news: list[tuple[Scope, Moved]] = []
        self._again: set[str] = set()
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self.searched = 0

    # What callers ask

    async def put(
        self,
        scope: Scope,
        query_id: str,
        library_ids: list[str],
        query: str,
        limit: int,
        evidence: list[PassageRef],
        pinned: list[PassageRef] | None = None,
        options: SearchOptions | None = None,
    ) -> bool:
        """Keep a query from now on, with the eyes of ``scope``.

        Args:
            evidence: the passages that a search gave the caller.
            pinned: others that matter to it, as long as they are there.

        Returns:
            Whether a search now admits others, of which no more is told until the next `put`.

        Raises:
            NotFound: a library is not there for this scope.
        """
        row = row_of(scope, query_id, library_ids, query, limit, evidence, options)
        kept = Query(row)
        kept.pinned = tuple(name(one.id, one.hash) for one in pinned or ())
        async with self._turn:
            first = set(library_ids) - self._libraries
            self._libraries |= first  # so that the versions after this search are noticed
            found = await self._remembered(kept) or await self._look(kept)
            await self._take(kept, found)
            row.state, row.moved = msgspec.msgpack.encode(kept.state), kept.moved
            versions = found.result.versions
            seen = {key: version for key, version in versions.items() if key in first}
            await self._write(self._shelf.put, scope, row, seen)
            self._keep(kept)
        return kept.moved

    async def remove(self, scope: Scope, query_id: str) -> None:
        """Keep a query no longer."""
        async with self._turn:
            kept = self._queries.get(query_id)
            if kept is None or kept.scope.workspace_id != scope.workspace_id:
                return
            await self._write(self._shelf.remove, scope, query_id)
            del self._queries[query_id]
            self._matcher.remove(query_id)

    async def moved(self, scope: Scope) -> list[str]:
        """The workspace's queries whose evidence moved since they were put."""
        return sorted(one.id for one in self._of(scope) if one.moved)

    async def missing(self, scope: Scope, query_ids: list[str]) -> list[str]:
        """Which of these are not kept here."""
        here = {one.id for one in self._of(scope)}
        return [one for one in query_ids if one not in here]

    # What happens to libraries

    def remember(self, asked: Asking, found: Found) -> None:
        """A search was made, which its caller may want to keep next."""
        self._searches[asked] = found
        self._searches.move_to_end(asked)
        if len(self._searches) > _REMEMBERED:
            self._searches.popitem(last=False)

    def notice(self, scope: Scope, moved: Moved) -> None:
        """A library reached a new version."""
        if moved.library_id in self._libraries:
            self._news.append((scope, moved))
            self._wake.set()

    def gone(self, library_id: str) -> None:
        """A library was deleted: everything that was asked of it moved."""
        self._again |= self._matcher.of(library_id)
        self._wake.set()

    def refresh(self) -> None:
        """Another embedder is there: what its vectors are not of is searched again."""
        identity = self._identity()
        self._again |= {
            one.id for one in self._queries.values() if one.state and one.state.identity != identity
        }
        self._wake.set()

    # What keeps it going

    async def load(self) -> None:
        """Bring the stored queries to mind; those that may have missed a version go first."""
        rows, behind = await self._read(self._shelf.stored)
        for row in rows:
            self._keep(Query(row))
            self._libraries |= set(row.library_ids)
        listed: defaultdict[str, set[int]] = defaultdict(set)
        for one in self._queries.values():
            listed[one.scope.workspace_id or ""] |= self._matcher.listed(one.id)
        self._matcher.forget(await self._read(self._finder.gone, listed))
        for library_id in behind:
            self._again |= self._matcher.of(library_id)
        self._wake.set()

    async def run(self) -> None:
        """Match what comes, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.match()
            except PonantError as e:
                _log.warning("Standing queries were not matched; that follows.", reason=e.message)
                await asyncio.sleep(1)
                self._wake.set()

    async def match(self) -> None:
        """Match everything that was noticed until now."""
        async with self._turn:
            news, self._news = self._news, []
            again, self._again = self._again, set()
            try:
                moved = await self._matched(news, again)
            except BaseException:
                self._news, self._again = news + self._news, again | self._again
                raise
        spaces: defaultdict[str, list[str]] = defaultdict(list)
        for one in moved:
            spaces[one.scope.workspace_id or ""].append(one.id)
        for workspace_id, ids in spaces.items():
            self._tell(Notice(part="standing", workspace_id=workspace_id, keys=tuple(ids)))

    async def _matched(self, news: Sequence[tuple[Scope, Moved]], again: set[str]) -> list[Query]:
        """The queries whose evidence moved with these changes."""
        met = await self._read(self._finder.concerned, self._matcher, news, self._identity())
        removed, added = frozenset(met.removed), frozenset(met.added)
        # Whoever put one that moved already looks again anyway.
        named = (self._queries.get(one) for one in sorted(met.candidates | again))
        met_queries = [one for one in named if one is not None and not one.moved]
        for one in met_queries:
            one.moved = one.lost_for_good(removed, added) or await self._moves(one)
        if news or met_queries:
            await self._write(self._shelf.note, news, met_queries)
        return [one for one in met_queries if one.moved]

    async def _moves(self, kept: Query) -> bool:
        """Search a candidate again; whether it moved with that."""
        self.searched += 1
        try:
            await self._take(kept, await self._look(kept))
        except NotFound:
            return True
        self._keep(kept)
        return kept.moved

    async def _look(self, kept: Query) -> Found:
        vector, identity = kept.vector, kept.state.identity if kept.state else None
        if identity is None or identity != self._identity():
            vector = await self._embed(kept.query, kept.scope.workspace_id)
            identity = None if vector is None else self._identity()
        result, ranking = await self._search(
            kept.scope, kept.library_ids, kept.query, vector, kept.limit, kept.options
        )
        return Found(result, ranking, vector, identity)

    async def _remembered(self, kept: Query) -> Found | None:
        """What a search found for its caller, where that is still what it would find."""
        found = self._searches.pop(kept.asking, None)
        if found is None or found.identity != self._identity():
            return None
        versions = found.result.versions
        is_current = await self._read(self._finder.is_current, kept.scope, versions)
        return found if is_current else None

    async def _take(self, kept: Query, found: Found) -> None:
        """Note in a query what a search says of it."""
        kept.state = await self._read(self._finder.state, kept, found)
        kept.moved = kept.differs(found.result.hits)

    def _keep(self, kept: Query) -> None:
        self._queries[kept.id] = kept
        self._matcher.put(kept.id, kept.library_ids, kept.state or State())

    def _of(self, scope: Scope) -> list[Query]:
        here = self._queries.values()
        return [one for one in here if one.scope.workspace_id == scope.workspace_id]
