"""Keeps standing queries: registered, matched when passages change, searched again when met.

A version of a library goes through here after it is stored. Queries that it may concern are found
in bulk (`matching`), only those are searched again, and only where a search now admits other
passages than before is anybody told. What is told is stored first, so a listener that was away
asks for it with `moved`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import ClassVar, ParamSpec, Protocol, TypeVar

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from ponant.kit import PonantError
from ponant.kit.errors import NotFound
from ponant.live import repository as live_repository
from ponant.live.indexing import access, vector_rows
from ponant.live.indexing.index import Moved
from ponant.live.port import Hit, Notice, PassageRef, SearchOptions, SearchResult
from ponant.live.standing import repository, terms
from ponant.live.standing.border import bars
from ponant.live.standing.matching import Matcher, Newcomer, State
from ponant.live.standing.tables import StandingRow
from ponant.live.tables import PassageRow
from ponant.store import Database, Scope

_LOOKED_AT = 40  # passages of a search, so that it is known what comes after the admitted
_MOST_LOOKED_AT = 50

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
    ) -> SearchResult: ...


class Running(Protocol):
    """Runs a function on another thread."""

    async def __call__(
        self, function: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> _R: ...


class _Query:
    """A kept query in memory."""

    def __init__(self, row: StandingRow) -> None:
        self.id = row.id
        self.scope = Scope(row.organisation_id, row.workspace_id, row.person_id, tuple(row.marks))
        self.library_ids = tuple(row.library_ids)
        self.query = row.query
        self.limit = row.limit
        self.options = msgspec.convert(row.options, SearchOptions)
        self.evidence = frozenset(row.evidence)
        self.moved = row.moved
        self.state = None if row.state is None else msgspec.msgpack.decode(row.state, type=State)
        self.pinned = self.state.pinned if self.state else ()

    def differs(self, hits: Sequence[Hit]) -> bool:
        """Whether a search admits other passages than were seen, or a pinned one went."""
        admitted = frozenset(_name(one.passage_id, one.hash) for one in hits[: self.limit])
        return admitted != self.evidence or (self.state is not None and self.state.lost)


class Standing:
    """The standing queries of an installation.

    Args:
        read, write: run a function on a thread that reads, or on the one that writes.
        embed: a query's vector; None where there is no embedder.
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
        embed: Callable[[str], Awaitable[Vector | None]],
        identity: Callable[[], str | None],
        tell: Callable[[Notice], None],
    ) -> None:
        self._database = database
        self._read = read
        self._write = write
        self._search = search
        self._embed = embed
        self._identity = identity
        self._tell = tell
        self._queries: dict[str, _Query] = {}
        self._matchers: defaultdict[str, Matcher] = defaultdict(Matcher)
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
        row = StandingRow(
            id=query_id,
            workspace_id=scope.workspace_id,
            organisation_id=scope.organisation_id,
            person_id=scope.person_id,
            marks=list(scope.marks),
            library_ids=library_ids,
            query=query,
            limit=limit,
            options=msgspec.to_builtins(options or SearchOptions()),
            evidence=sorted(_name(one.id, one.hash) for one in evidence),
            moved=False,
            state=None,
        )
        kept = _Query(row)
        kept.pinned = tuple(_name(one.id, one.hash) for one in pinned or ())
        vector = await self._embed(query)
        identity = None if vector is None else self._identity()
        async with self._turn:
            first = {one for one in library_ids if one not in self._matchers}
            for library_id in first:
                self._matchers[library_id]  # so that the versions after this search are noticed
            found = await self._look(kept, vector)
            kept.state = await self._read(self._state, kept, found.hits, vector, identity)
            kept.moved = kept.differs(found.hits)
            row.state, row.moved = msgspec.msgpack.encode(kept.state), kept.moved
            seen = {key: version for key, version in found.versions.items() if key in first}
            await self._write(self._store, scope, row, seen)
            self._keep(kept)
        return kept.moved

    async def remove(self, scope: Scope, query_id: str) -> None:
        """Keep a query no longer."""
        async with self._turn:
            kept = self._queries.get(query_id)
            if kept is None or kept.scope.workspace_id != scope.workspace_id:
                return
            await self._write(self._drop, scope, query_id)
            del self._queries[query_id]
            for library_id in kept.library_ids:
                self._matchers[library_id].remove(query_id)

    async def moved(self, scope: Scope) -> list[str]:
        """The workspace's queries whose evidence moved since they were put."""
        return sorted(one.id for one in self._of(scope) if one.moved)

    async def missing(self, scope: Scope, query_ids: list[str]) -> list[str]:
        """Which of these are not kept here."""
        here = {one.id for one in self._of(scope)}
        return [one for one in query_ids if one not in here]

    # What happens to libraries

    def notice(self, scope: Scope, moved: Moved) -> None:
        """A library reached a new version."""
        if moved.library_id in self._matchers:
            self._news.append((scope, moved))
            self._wake.set()

    def gone(self, library_id: str) -> None:
        """A library was deleted: everything that was asked of it moved."""
        if library_id in self._matchers:
            self._again |= self._matchers[library_id].ids
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
        rows, behind = await self._read(self._stored)
        for row in rows:
            self._keep(_Query(row))
        for library_id in behind:
            self._again |= self._matchers[library_id].ids
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
                candidates = again | await self._read(self._candidates, news)
                moved = [one for one in sorted(candidates) if await self._look_again(one)]
                await self._note(news, candidates)
            except BaseException:
                self._news, self._again = news + self._news, again | self._again
                raise
        spaces: defaultdict[str, list[str]] = defaultdict(list)
        for query_id in moved:
            spaces[self._queries[query_id].scope.workspace_id or ""].append(query_id)
        for workspace_id, ids in spaces.items():
            self._tell(Notice(part="standing", workspace_id=workspace_id, keys=tuple(ids)))

    def _candidates(self, news: Sequence[tuple[Scope, Moved]]) -> set[str]:
        """The queries that new versions may concern."""
        found: set[str] = set()
        with self._database.read() as session:
            for scope, moved in news:
                matcher = self._matchers[moved.library_id]
                found |= matcher.holding(moved.removed)
                new = {*moved.added, *moved.embedded}
                if moved.documents and not new and not moved.removed:
                    # Their text is the same, so it is who may read them, or their name.
                    documents = [document_id for document_id, _, _ in moved.documents]
                    found |= matcher.holding((), documents)
                    new |= set(repository.rows_of(session, scope, documents))
                found |= matcher.admitting(self._newcomers(session, scope, moved, sorted(new)))
        return found

    def _newcomers(
        self, session: Session, scope: Scope, moved: Moved, rows: Sequence[int]
    ) -> list[Newcomer]:
        names = {document_id: name for document_id, name, _ in moved.documents}
        spoken = terms.languages(session, scope, moved.library_id)
        found = repository.passages(session, scope, rows)
        vectors = self._vectors_of(session, scope, found)
        return [
            Newcomer(
                terms.saturations(names.get(row.document_id, ""), row.heading, row.text, spoken),
                vectors.get(row.input_hash),
            )
            for row in found
        ]

    def _vectors_of(
        self, session: Session, scope: Scope, rows: Collection[PassageRow]
    ) -> dict[str, Vector]:
        if (identity := self._identity()) is None:
            return {}
        inputs = [row.input_hash for row in rows]
        known = vector_rows.known_vectors(session, scope, identity, inputs)
        return {key: np.frombuffer(one, np.float32) for key, one in known.items()}

    async def _look_again(self, query_id: str) -> bool:
        """Search a candidate again; whether it moved with that."""
        kept = self._queries.get(query_id)
        if kept is None or kept.moved:
            return False  # whoever put it looks again anyway
        vector, identity = self._vector(kept), kept.state.identity if kept.state else None
        if identity != self._identity():
            vector = await self._embed(kept.query)
            identity = None if vector is None else self._identity()
        self.searched += 1
        try:
            hits = (await self._look(kept, vector)).hits
        except NotFound:
            kept.moved = True
            return True
        kept.state = await self._read(self._state, kept, hits, vector, identity)
        kept.moved = kept.differs(hits)
        self._keep(kept)
        return kept.moved

    async def _look(self, kept: _Query, vector: Vector | None) -> SearchResult:
        looked_at = min(max(_LOOKED_AT, 2 * kept.limit), _MOST_LOOKED_AT)
        return await self._search(
            kept.scope, kept.library_ids, kept.query, vector, looked_at, kept.options
        )

    async def _note(self, news: Sequence[tuple[Scope, Moved]], looked_at: set[str]) -> None:
        if news or looked_at:
            kept = [self._queries[one] for one in looked_at if one in self._queries]
            await self._write(self._store_round, news, kept)

    # What is stored

    def _state(
        self, kept: _Query, hits: Sequence[Hit], vector: Vector | None, identity: str | None
    ) -> State:
        admitted = [one.passage_id for one in hits[: kept.limit]]
        with self._database.read() as session:
            rows = repository.passages_named(session, kept.scope, [one.passage_id for one in hits])
            asked, spoken = self._asked(session, kept)
            pinned = self._pinned(session, kept)
            vectors = {} if vector is None else self._vectors_of(session, kept.scope, rows.values())
        similar = {
            name: float(vectors[row.input_hash] @ vector)
            for name, row in rows.items()
            if vector is not None and row.input_hash in vectors
        }
        weights = {
            one.passage_id: terms.weight(
                asked, terms.saturations(one.document_name, one.heading, one.text, spoken)
            )
            for one in hits
            if one.keyword_rank
        }
        meaning, telling = bars(hits, kept.limit, similar, weights)
        return State(
            identity=identity,
            vector=None if vector is None else vector.astype(np.float32).tobytes(),
            terms=asked,
            meaning=meaning,
            telling=telling,
            rows=(*(rows[name].id for name in admitted if name in rows), *pinned),
            documents=tuple({one.document_id for one in hits[: kept.limit]} | set(pinned.values())),
            pinned=kept.pinned,
            lost=len(pinned) < len(kept.pinned),
        )

    def _pinned(self, session: Session, kept: _Query) -> dict[int, str]:
        """The pinned passages that are there as they were, and may be read: row and document."""
        named = [one.split(":", 1)[0] for one in kept.pinned]
        rows = repository.passages_named(session, kept.scope, named)
        same = [row.id for row in rows.values() if _name(row.passage_id, row.hash) in kept.pinned]
        readable = access.passages(session, kept.scope, same)
        return {row: passage.document_id for row, (passage, _, _) in readable.items()}

    def _asked(self, session: Session, kept: _Query) -> tuple[dict[str, float], set[str]]:
        """The query's terms with their weights, and the languages of its libraries."""
        found: dict[str, float] = {}
        spoken: set[str] = set()
        for library_id in kept.library_ids:
            library = live_repository.library(session, kept.scope, library_id)
            spoken |= set(terms.languages(session, kept.scope, library_id))
            for term, weight in terms.asked(session, kept.scope, library, kept.query).items():
                found[term] = max(weight, found.get(term, 0.0))
        return found, spoken

    def _store(self, scope: Scope, row: StandingRow, matched: dict[str, int]) -> None:
        # What a loss of power takes is missing afterwards, and then put again.
        with self._database.write(soon=True) as session:
            repository.put(session, scope, row)
            repository.note_matched(session, scope, matched)

    def _drop(self, scope: Scope, query_id: str) -> None:
        with self._database.write() as session:
            repository.remove(session, scope, query_id)

    def _store_round(self, news: Sequence[tuple[Scope, Moved]], kept: Sequence[_Query]) -> None:
        with self._database.write() as session:
            for one in kept:
                state = msgspec.msgpack.encode(one.state)
                repository.note(session, one.scope, one.id, state, moved=one.moved)
            for scope, moved in news:
                repository.note_matched(session, scope, {moved.library_id: moved.version})

    def _stored(self) -> tuple[list[StandingRow], set[str]]:
        """All that is stored, and the libraries with versions that were not matched."""
        rows: list[StandingRow] = []
        behind: set[str] = set()
        with self._database.read() as session:
            for workspace_id in repository.workspaces(session):
                scope = Scope(workspace_id=workspace_id)
                rows += repository.queries(session, scope)
                matched = repository.matched(session, scope)
                behind |= {
                    row.id
                    for row in live_repository.libraries(session, scope)
                    if matched.get(row.id) != row.version
                }
        return rows, behind

    def _keep(self, kept: _Query) -> None:
        self._queries[kept.id] = kept
        for library_id in kept.library_ids:
            self._matchers[library_id].put(kept.id, kept.state or State())

    def _of(self, scope: Scope) -> list[_Query]:
        here = self._queries.values()
        return [one for one in here if one.scope.workspace_id == scope.workspace_id]

    def _vector(self, kept: _Query) -> Vector | None:
        if kept.state is None or kept.state.vector is None:
            return None
        return np.frombuffer(kept.state.vector, np.float32)


def _name(passage_id: str, digest: str) -> str:
    return f"{passage_id}:{digest}"
