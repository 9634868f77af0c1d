"""What the documents of one source were when last stored, and where the source goes on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ponant.live import repository
from ponant.live.indexing.ingestion import Home, Known
from ponant.live.sources.port import About, Batch, Cursor, Found, Gone
from ponant.store import Database


class Stock:
    """The documents of one source by key, as live.db has them.

    Attributes:
        cursor: where the source goes on.
        passed: signatures of documents that we failed on, by key.
        states: how many documents are in which state.
        known: documents by key as they were last stored; `put` and `drop` change it.
    """

    def __init__(self) -> None:
        self.cursor: Cursor | None = None
        self.passed: dict[str, str] = {}
        self.states: Counter[str] = Counter()
        self.known: dict[str, Known] = {}

    def load(self, database: Database, home: Home) -> None:
        """Read what is stored."""
        with database.read() as session:
            for found in repository.brought(session, home.scope, home.library_id, home.source_id):
                key, path, signature, digest, state, number, url, metadata = found
                about = About(url=url, metadata=metadata)
                self.put(Known(key, path, signature, digest, state, number, about))
            for source in repository.sources(session, home.scope, home.library_id):
                if source.id == home.source_id:
                    self.cursor = source.cursor

    def put(self, known: Known) -> None:
        """Note how a document is stored now."""
        self.drop(known.path)
        self.known[known.path] = known
        self.states[known.state] += 1

    def drop(self, key: str) -> None:
        """Note that a document is stored no longer."""
        known = self.known.pop(key, None)
        if known is not None:
            self.states[known.state] -= 1

    def forget_failures(self) -> int:
        """Let what could not be read be read again; returns how many documents that are."""
        failed = [one for one in self.known.values() if one.state == "failed"]
        for known in failed:
            self.put(replace(known, signature=""))
        count = len(failed) + len(self.passed)
        self.passed.clear()
        return count

    def is_new(self, found: Found) -> bool:
        """Whether a document may say something else than what is stored."""
        if self.passed.get(found.key, "") == found.signature != "":
            return False
        known = self.known.get(found.key)
        if known is None or not found.signature or found.urgent:
            return True
        return known.signature != found.signature

    def gone(self, batch: Batch) -> Sequence[str]:
        """The keys of stored documents that a batch no longer has."""
        found = {one.key for one in batch.changes if isinstance(one, Found)}
        if batch.complete:
            return [key for key in self.known if key not in found]
        gone = (one.key for one in batch.changes if isinstance(one, Gone))
        return [key for key in gone if key in self.known and key not in found]
