"""A search that is kept: whose eyes it reads with, what was seen, what its last turn found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ponant.live.indexing.search import DEPTH, Ranking
from ponant.live.port import Hit, PassageRef, SearchOptions, SearchResult
from ponant.live.standing.matching import State
from ponant.live.standing.tables import StandingRow
from ponant.live.standing.weights import Asked
from ponant.store import Scope

Vector = NDArray[np.float32]


class Asking(NamedTuple):
    """What a search is asked, and with whose eyes."""

    scope: Scope
    library_ids: tuple[str, ...]
    query: str
    limit: int
    options: bytes

    @classmethod
    def of(
        cls,
        scope: Scope,
        library_ids: Sequence[str],
        query: str,
        limit: int,
        options: SearchOptions,
    ) -> "Asking":
        """``options`` as bytes, since filters are plain objects."""
        return cls(scope, tuple(library_ids), query, limit, msgspec.msgpack.encode(options))


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Attributes:
        identity: the embedder of ``vector``; None where it went by keywords alone.
    """

    result: SearchResult
    ranking: Ranking
    vector: Vector | None
    identity: str | None


class Query:
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

    @property
    def asking(self) -> Asking:
        return Asking.of(self.scope, self.library_ids, self.query, self.limit, self.options)

    @property
    def vector(self) -> Vector | None:
        """The query's vector, where its last search had one."""
        if self.state is None or self.state.vector is None:
            return None
        return np.frombuffer(self.state.vector, np.float32)

    def differs(self, hits: Sequence[Hit]) -> bool:
        """Whether a search admits other passages than were seen, or a pinned one went."""
        admitted = frozenset(name(one.passage_id, one.hash) for one in hits[: self.limit])
        return admitted != self.evidence or (self.state is not None and self.state.lost)

    def lost_for_good(self, removed: frozenset[int], added: frozenset[str]) -> bool:
        """Whether something that was seen is gone, which no search need confirm.

        Args:
            removed: rows that are not any more.
            added: passages that are new, by name: the same may have come back in another row.
        """
        if self.state is None or removed.isdisjoint(self.state.rows):
            return False
        return added.isdisjoint(self.evidence) and added.isdisjoint(self.pinned)

    def state_of(
        self,
        found: Found,
        asked: Asked,
        pinned: dict[int, str],
    ) -> State:
        """What a search says of the passages that could come next.

        Args:
            asked: the query's words and what they weigh.
            pinned: the pinned passages that are as they were: row and document.
        """
        options, ranking, vector = self.options, found.ranking, found.vector
        ruled = options.filters is not None or options.min_score is not None
        return State(
            identity=found.identity,
            vector=None if vector is None else vector.astype(np.float32).tobytes(),
            terms={} if options.mode == "vector" else dict(asked.weights),
            # Where weights do not tell the order, whatever has one of the words may be admitted.
            lists=(
                *_packed(ranking.by_keyword if asked.comparable else ()),
                *_packed(ranking.by_vector),
            ),
            admitted=tuple(ranking.rows[:DEPTH]),
            limit=min(self.limit, DEPTH),
            loose=ruled or not asked.comparable or self.limit > DEPTH,
            rows=(*ranking.rows, *pinned),
            documents=tuple({one.document_id for one in found.result.hits} | set(pinned.values())),
            pinned=self.pinned,
            lost=len(pinned) < len(self.pinned),
        )


def row_of(
    scope: Scope,
    query_id: str,
    library_ids: list[str],
    query: str,
    limit: int,
    evidence: Sequence[PassageRef],
    options: SearchOptions | None,
) -> StandingRow:
    """A query as it is stored, before its first search."""
    return StandingRow(
        id=query_id,
        workspace_id=scope.workspace_id,
        organisation_id=scope.organisation_id,
        person_id=scope.person_id,
        marks=list(scope.marks),
        library_ids=library_ids,
        query=query,
        limit=limit,
        options=msgspec.to_builtins(options or SearchOptions()),
        evidence=sorted(name(one.id, one.hash) for one in evidence),
        moved=False,
        state=None,
    )


def name(passage_id: str, digest: str) -> str:
    """A passage as it read."""
    return f"{passage_id}:{digest}"


def _packed(ranked: Sequence[tuple[int, float]]) -> tuple[bytes, bytes]:
    rows = np.array([row for row, _ in ranked[:DEPTH]], np.int64)
    weights = np.array([weight for _, weight in ranked[:DEPTH]], np.float32)
    return rows.tobytes(), weights.tobytes()
