"""An index of a test's own, without sources or a process around it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ponant.kit import SystemClock
from ponant.live.declarations import Declarations
from ponant.live.indexing import pgvector
from ponant.live.indexing.index import Index, Moved, Reading
from ponant.live.indexing.search import search
from ponant.live.port import MetadataValue, SearchOptions, SearchResult
from ponant.live.queries import Queries
from ponant.live.reading.chunking import chunk
from ponant.live.reading.passages import fingerprint
from ponant.live.sources.port import About
from ponant.store import Scope
from tests.databases import KINDS, opened
from tests.live.conftest import SCOPE


def vector_of(text: str, dimension: int = 32) -> np.ndarray:
    """A direction of length 1 that goes by the text alone."""
    seed = int(fingerprint(text)[:8], 16)
    vector = np.random.default_rng(seed).standard_normal(dimension).astype(np.float32)
    return vector / np.linalg.norm(vector)


@dataclass
class Shelf:
    """An index with one library, whose vectors come from `vector_of`."""

    index: Index
    queries: Queries
    library_id: str

    def put(
        self,
        text: str,
        name: str = "one.md",
        *,
        document_id: str | None = None,
        access: tuple[str, ...] | None = None,
        metadata: Mapping[str, MetadataValue] | None = None,
        embedded: bool = True,
    ) -> tuple[str, Moved]:
        chunks = chunk(text, max_tokens=256)
        about = About(access=access, metadata=metadata or {})
        reading = Reading(
            path=name,
            name=name,
            media_type="text/markdown",
            size=len(text),
            signature="",
            content_hash=fingerprint(text),
            text=text,
            chunks=chunks,
            about=about,
        )
        vectors = {fingerprint(one.input): vector_of(one.input) for one in chunks if embedded}
        return self.index.put_document(
            SCOPE,
            self.library_id,
            reading,
            document_id=document_id,
            source_id=None,
            vectors=vectors,
            identity=self.index.identity,
        )

    def search(
        self, query: str, scope: Scope = SCOPE, *, limit: int = 50, **options: object
    ) -> SearchResult:
        chosen = SearchOptions(**options)
        return search(self.index, scope, [self.library_id], query, vector_of(query), limit, chosen)


@pytest.fixture(params=KINDS)
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    with opened(request.param, tmp_path / "live.db", "live") as database:
        clock = SystemClock()
        index = Index(database, clock, tmp_path / "vectors", pgvector.chosen(database, "auto"))
        index.load_vectors("test-embedder")
        library_id = Declarations(database, clock).create_library(SCOPE, "Shelf", "", None)
        yield Shelf(index, Queries(tmp_path, [], index), library_id)
