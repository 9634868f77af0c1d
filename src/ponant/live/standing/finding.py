"""Finds what changes may concern which kept queries, and reads what a search says of one."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from ponant.live import repository as live_repository
from ponant.live.indexing import access, vector_rows
from ponant.live.indexing.index import Moved
from ponant.live.standing import repository, weights
from ponant.live.standing.matching import Matcher, Newcomer, State
from ponant.live.standing.query import Found, Query, name
from ponant.live.standing.weights import Asked
from ponant.live.tables import PassageRow
from ponant.store import Database, Scope

Vector = NDArray[np.float32]
News = Sequence[tuple[Scope, Moved]]


@dataclass(slots=True)
class Concerned:
    """The queries that changes may concern.

    Attributes:
        candidates: whose evidence may have moved.
        removed: rows of passages that are not any more.
        added: passages that are new, by name.
    """

    candidates: set[str] = field(default_factory=set)
    removed: set[int] = field(default_factory=set)
    added: set[str] = field(default_factory=set)


class Finder:
    """Reads live.db on behalf of kept queries; call it on a thread that reads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def concerned(self, matcher: Matcher, news: News, identity: str | None) -> Concerned:
        """The queries that new versions may concern."""
        found = Concerned()
        with self._database.read() as session:
            for scope, moved in news:
                new = {*moved.added, *moved.embedded}
                found.candidates |= matcher.holding(moved.removed)
                if moved.documents and not new and not moved.removed:
                    # Their text is the same, so it is who may read them, or their name.
                    documents = [document_id for document_id, _, _ in moved.documents]
                    found.candidates |= matcher.holding((), documents)
                    new |= set(repository.rows_of(session, scope, documents))
                rows = repository.passages(session, scope, sorted(new))
                found.removed |= set(moved.removed)
                found.added |= {name(row.passage_id, row.hash) for row in rows}
                newcomers = self._newcomers(session, scope, moved.library_id, rows, identity)
                found.candidates |= matcher.match(moved.library_id, moved.removed, newcomers)
        return found

    def state(self, query: Query, found: Found) -> State:
        """What a search says of the passages that could come next."""
        with self._database.read() as session:
            return query.state_of(found, self._asked(session, query), self._pinned(session, query))

    def is_current(self, scope: Scope, versions: Mapping[str, int]) -> bool:
        """Whether libraries are still at these versions."""
        with self._database.read() as session:
            there = {row.id: row.version for row in live_repository.libraries(session, scope)}
        return all(there.get(key) == version for key, version in versions.items())

    def gone(self, listed: Mapping[str, set[int]]) -> set[int]:
        """Those of some passages, by workspace, that are not any more."""
        gone: set[int] = set()
        with self._database.read() as session:
            for workspace_id, rows in listed.items():
                scope = Scope(workspace_id=workspace_id)
                gone |= rows - repository.there(session, scope, sorted(rows))
        return gone

    def _newcomers(
        self,
        session: Session,
        scope: Scope,
        library_id: str,
        rows: Sequence[PassageRow],
        identity: str | None,
    ) -> list[Newcomer]:
        full = weights.fullness(session, scope, library_id, rows)
        vectors: dict[str, bytes] = {}
        if identity is not None:
            inputs = [row.input_hash for row in rows]
            vectors = vector_rows.known_vectors(session, scope, identity, inputs)
        closed = repository.restricted(session, scope, {row.document_id for row in rows})
        return [
            Newcomer(
                row.id,
                full.get(row.id, {}),
                np.frombuffer(vectors[row.input_hash], np.float32)
                if row.input_hash in vectors
                else None,
                for_all=row.document_id not in closed,
            )
            for row in rows
        ]

    def _asked(self, session: Session, query: Query) -> Asked:
        """The query's terms with their weights over all of its libraries."""
        found: defaultdict[str, float] = defaultdict(float)
        comparable = True
        for library_id in query.library_ids:
            library = live_repository.library(session, query.scope, library_id)
            asked = weights.asked(session, query.scope, library, query.query)
            comparable = comparable and asked.comparable
            for term, weight in asked.weights.items():
                found[term] = max(weight, found[term])
        return Asked(found, comparable)

    def _pinned(self, session: Session, query: Query) -> dict[int, str]:
        """The pinned passages that are there as they were, and may be read: row and document."""
        if not query.pinned:
            return {}
        named = [one.split(":", 1)[0] for one in query.pinned]
        rows = repository.passages_named(session, query.scope, named)
        same = [row.id for row in rows.values() if name(row.passage_id, row.hash) in query.pinned]
        readable = access.passages(session, query.scope, same)
        return {row: found.document_id for row, found in readable.items()}
