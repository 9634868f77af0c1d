"""Finds passages by keywords and by meaning, and puts the two lists together.

Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009), in which keywords count for less
where the vectors find nothing of what they found (`indexing.fusion`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Row
from sqlalchemy.orm import Session

from ponant.live import repository
from ponant.live.indexing import access, keywords
from ponant.live.indexing.filters import condition
from ponant.live.indexing.fusion import trust
from ponant.live.indexing.index import Index
from ponant.live.indexing.surroundings import with_highlights, with_neighbours
from ponant.live.indexing.vectors import Bitmap, Snapshot
from ponant.live.port import Hit, SearchOptions, SearchResult
from ponant.live.repository import LibraryState
from ponant.live.tables import LibraryRow
from ponant.store import Scope

DEPTH = 50  # of each list; what stands further down counts for nothing
_LONGEST_WAIT = 5.0  # seconds that a question may take to be embedded; its maker gives up before
_WORTH_A_THREAD = 16_384  # rows; fewer are compared sooner than a thread begins
SMOOTHING = 10  # the paper's 60 is for lists of thousands; short lists want their tops apart

Meaning = NDArray[np.float32] | Future[NDArray[np.float32] | None] | None
"""A question's vector of length 1, or one that is being made."""

_Found = list[tuple[int, float]]
_Looked = tuple[Snapshot, Bitmap | None]
"""Vectors to look through, and the documents among them that count; None is all."""


@dataclass(frozen=True, slots=True)
class _Ranks:
    keyword: int | None
    vector: int | None
    trust: float = 1.0  # in keywords

    @property
    def score(self) -> float:
        told = self.trust / (SMOOTHING + self.keyword) if self.keyword else 0.0
        return told + (1 / (SMOOTHING + self.vector) if self.vector else 0.0)


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a search put together: passage rows with what they weigh, the best first.

    Attributes:
        rows: those of the hits.
    """

    by_keyword: Sequence[tuple[int, float]]
    by_vector: Sequence[tuple[int, float]]
    rows: Sequence[int]


def search(
    index: Index,
    scope: Scope,
    library_ids: Sequence[str],
    query: str,
    vector: Meaning,
    limit: int,
    options: SearchOptions,
) -> SearchResult:
    """The likeliest passages, all of one version of each library.

    With several libraries, ``version`` is the highest and ``as_of`` the oldest of them.

    Args:
        vector: the embedded query, or None to go by keywords alone; keywords are looked for while
            it is made.

    Raises:
        NotFound: a library is not there for this scope.
    """
    return ranked(index, scope, library_ids, query, vector, limit, options)[0]


def ranked(
    index: Index,
    scope: Scope,
    library_ids: Sequence[str],
    query: str,
    vector: Meaning,
    limit: int,
    options: SearchOptions,
) -> tuple[SearchResult, Ranking]:
    """The same, and the two lists that it comes of."""
    with index.database.read() as session:
        libraries = {key: repository.library_state(session, scope, key) for key in library_ids}
        versions = {key: row.version for key, row in libraries.items()}
        wanted = None if options.filters is None else condition(options.filters)
        by_keyword: list[tuple[int, float]] = []
        by_vector: list[tuple[int, float]] = []
        meaning = vector if options.mode != "keyword" else None
        looked = [] if meaning is None else _looked_at(session, scope, index, versions, wanted)
        with _beside(partial(_by_vector, looked, meaning), looked) as found_by_vector:
            if options.mode != "vector":
                by_keyword = _by_keyword(session, scope, libraries.values(), query, wanted)
            by_vector = found_by_vector()
        if index.table is not None:
            by_vector = _in_table(session, scope, index, versions, meaning, wanted)
        ranks = _fuse(by_keyword, by_vector)
        best = [row for _, row in sorted((-one.score, row) for row, one in ranks.items())]
        if options.min_score is not None and (meant := there(meaning)) is not None:
            near = _similar(session, index, versions, meant, best)
            best = [row for row in best if near.get(row, -1.0) >= options.min_score]
        rows, hits = _hits(session, scope, libraries, best[:limit], ranks, options)
        if options.highlights:
            languages = keywords.languages(session, scope, list(libraries))
            hits = with_highlights(hits, query, languages)
    result = SearchResult(
        hits=tuple(hits),
        version=max(versions.values(), default=0),
        as_of=min((row.as_of for row in libraries.values()), default=index.clock.now()),
        versions=versions,
    )
    return result, Ranking(by_keyword, by_vector, rows)


def there(vector: Meaning) -> NDArray[np.float32] | None:
    """A vector once it is there; None where it does not come."""
    if not isinstance(vector, Future):
        return vector
    try:
        return vector.result(_LONGEST_WAIT)
    except (CancelledError, TimeoutError):
        return None


def _by_keyword(
    session: Session,
    scope: Scope,
    libraries: Iterable[LibraryState],
    query: str,
    wanted: ColumnElement[bool] | None,
) -> list[tuple[int, float]]:
    conditions = [] if wanted is None else [wanted]
    found = [
        one
        for library in libraries
        for one in keywords.search(session, scope, library, query, conditions, DEPTH)
    ]
    found.sort(key=lambda item: (-item[1], item[0]))
    return found[:DEPTH]


def _looked_at(
    session: Session,
    scope: Scope,
    index: Index,
    versions: dict[str, int],
    wanted: ColumnElement[bool] | None,
) -> list[_Looked]:
    """The vectors of exactly these versions, and which documents' the caller may be shown."""
    if index.table is not None:
        return []
    lists = access.lists_with(session, scope)
    found: list[_Looked] = []
    for library_id, version in versions.items():
        if (snapshot := index.snapshot(library_id, version)) is None:
            continue
        if wanted is None:
            allowed = snapshot.readable(lists)
        else:
            allowed = snapshot.only(access.matching(session, scope, library_id, wanted))
        found.append((snapshot, allowed))
    return found


def _by_vector(looked: Sequence[_Looked], vector: Meaning) -> _Found:
    if (meant := there(vector)) is None:
        return []
    found = [one for snapshot, allowed in looked for one in snapshot.search(meant, DEPTH, allowed)]
    found.sort(key=lambda item: (-item[1], item[0]))
    return found[:DEPTH]


def _in_table(
    session: Session,
    scope: Scope,
    index: Index,
    versions: dict[str, int],
    vector: Meaning,
    wanted: ColumnElement[bool] | None,
) -> _Found:
    """The same by the database, in the session's own snapshot."""
    if index.table is None or index.identity is None or (meant := there(vector)) is None:
        return []
    conditions = [access.readable(scope)] + ([] if wanted is None else [wanted])
    return index.table.search(
        session, scope, list(versions), index.identity, meant, conditions, DEPTH
    )


@contextmanager
def _beside(
    find: Callable[[], _Found], looked: Sequence[_Looked]
) -> Iterator[Callable[[], _Found]]:
    """What tells what ``find`` found; many vectors are compared while keywords are looked for.

    Both take native code most of the time, which lets other threads compute.
    """
    if sum(snapshot.rows for snapshot, _ in looked) < _WORTH_A_THREAD:
        yield find
        return
    with ThreadPoolExecutor(1, "live-comparer") as thread:
        yield thread.submit(find).result


def _similar(
    session: Session,
    index: Index,
    versions: dict[str, int],
    vector: NDArray[np.float32],
    rows: Sequence[int],
) -> dict[int, float]:
    """The cosine similarities of passages that have a vector."""
    if index.table is not None:
        identity = index.identity or ""
        return index.table.similarities(session, list(versions), identity, vector, rows)
    found: dict[int, float] = {}
    for library_id, version in versions.items():
        if (snapshot := index.snapshot(library_id, version)) is not None:
            found |= snapshot.similarities(vector, rows)
    return found


def _fuse(
    by_keyword: Sequence[tuple[int, float]], by_vector: Sequence[tuple[int, float]]
) -> dict[int, _Ranks]:
    keyword = {row: rank for rank, (row, _) in enumerate(by_keyword, start=1)}
    vector = {row: rank for rank, (row, _) in enumerate(by_vector, start=1)}
    trusted = trust(list(keyword), vector)
    return {row: _Ranks(keyword.get(row), vector.get(row), trusted) for row in keyword | vector}


def _hits(
    session: Session,
    scope: Scope,
    libraries: Mapping[str, LibraryState],
    rows: Sequence[int],
    ranks: dict[int, _Ranks],
    options: SearchOptions,
) -> tuple[list[int], list[Hit]]:
    """Those of some rows that are part of this version, and how they are told."""
    found = access.passages(session, scope, rows)
    kept = [row for row in rows if row in found]  # a row that is not is no part of this version
    hits = [hit(found[row], libraries[found[row].library_id], ranks[row]) for row in kept]
    positions = [found[row].position for row in kept]
    return kept, with_neighbours(session, scope, hits, positions, options.neighbours)


def hit(
    found: Row[Any], library: LibraryRow | LibraryState, ranks: _Ranks = _Ranks(None, None)
) -> Hit:
    """A passage as it stands in its document and library.

    Args:
        found: see `access.passages`.
    """
    return Hit(
        passage_id=found.passage_id,
        hash=found.hash,
        library_id=found.library_id,
        document_id=found.document_id,
        document_name=found.document_name,
        document_version=found.document_version,
        text=found.text,
        start=found.start,
        end=found.end,
        heading=found.heading,
        score=ranks.score,
        keyword_rank=ranks.keyword,
        vector_rank=ranks.vector,
        as_of=library.as_of,
        library_version=library.version,
        source_id=found.source_id,
        url=found.url,
        metadata=found.about,
        readers=found.readers or "",
    )
