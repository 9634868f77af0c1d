"""Where kept queries are stored: each call is one transaction."""

from collections.abc import Mapping, Sequence

import msgspec

from ponant.live import repository as live_repository
from ponant.live.indexing.index import Moved
from ponant.live.standing import repository
from ponant.live.standing.query import Query
from ponant.live.standing.tables import StandingRow
from ponant.store import Database, Scope


class Shelf:
    """The stored queries of an installation. It asks the database: call it on its threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, scope: Scope, row: StandingRow, matched: Mapping[str, int]) -> None:
        """Keep a query, and up to which versions its libraries were matched."""
        # What a loss of power takes is missing afterwards, and then put again.
        with self._database.write(soon=True) as session:
            repository.put(session, scope, row)
            repository.note_matched(session, scope, matched)

    def remove(self, scope: Scope, query_id: str) -> None:
        """Keep a query no longer."""
        with self._database.write() as session:
            repository.remove(session, scope, query_id)

    def note(self, news: Sequence[tuple[Scope, Moved]], queries: Sequence[Query]) -> None:
        """Store which versions were matched, and what that said of queries."""
        with self._database.write() as session:
            for one in queries:
                state = msgspec.msgpack.encode(one.state)
                repository.note(session, one.scope, one.id, state, moved=one.moved)
            for scope, moved in news:
                repository.note_matched(session, scope, {moved.library_id: moved.version})

    def stored(self) -> tuple[list[StandingRow], set[str]]:
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
