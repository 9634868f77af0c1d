"""An exact vector index whose every version stays readable while the next is made.

Vectors are appended to segments and never moved; a version is a row count per segment and a
bitmap of the rows that are alive in it. What a change does not touch is shared with the version
before. A search takes one version and sees exactly its rows. Written by one thread, read by many.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FIRST_ROWS = 256
_MOST_ROWS = 65_536
_KEPT_VERSIONS = 16
WORTH_A_FILE = 4096  # rows
MANY_BESIDE = 16_384  # rows beside an approximate index, which make each search a tenth longer
_FEW = 0.1  # share of a segment below which its rows are gathered before they are multiplied
_PROPOSED = 4  # times the rows that are wanted, since some of the nearest may be dead

Vector = NDArray[np.float32]
Bitmap = NDArray[np.bool_]
Placed = tuple[str, Vector]
"""A vector and the id of its document."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Vectors in bulk: row ids (n,), the id of each one's document, vectors (n, dimension)."""

    ids: NDArray[np.int64]
    documents: Sequence[str]
    vectors: Vector

    @classmethod
    def of(cls, placed: Mapping[int, Placed]) -> "Rows":
        """The same of single vectors."""
        if not placed:
            return cls(np.zeros(0, np.int64), (), np.zeros((0, 0), np.float32))
        documents, vectors = zip(*placed.values(), strict=True)
        return cls(np.fromiter(placed, np.int64), documents, np.stack(vectors))


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Rows up to a capacity; those past a version's count are its future."""

    vectors: Vector  # (capacity, dimension)
    ids: NDArray[np.int64]  # (capacity,)
    documents: NDArray[np.int32]  # (capacity,), numbers of the rows' documents
    graph: Any = None  # usearch's index over all rows, by their places here; or None

    @classmethod
    def empty(cls, capacity: int, dimension: int) -> "Segment":
        return cls(
            np.zeros((capacity, dimension), np.float32),
            np.zeros(capacity, np.int64),
            np.zeros(capacity, np.int32),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One version of a library's vectors.

    Attributes:
        alive: per segment, as long as its count in this version.
        access: the access list of each document by its number; 0 is everybody's.
        numbers: the numbers of documents by id; later versions add to it.
    """

    version: int
    segments: tuple[Segment, ...]
    alive: tuple[Bitmap, ...]
    access: NDArray[np.int32]
    numbers: dict[str, int]

    @property
    def rows(self) -> int:
        """How many rows a search looks through, the dead among them."""
        return sum(map(len, self.alive))

    def readable(self, lists: Sequence[int]) -> Bitmap | None:
        """The documents, by number, that may be read by who stands on these access lists.

        Returns:
            None where everybody may read all of them.
        """
        if not self.access.any():
            return None
        return np.isin(self.access, [0, *lists])

    def only(self, documents: Iterable[str]) -> Bitmap:
        """These documents by number."""
        wanted = np.zeros(len(self.access), np.bool_)
        numbers = [self.numbers[one] for one in documents if one in self.numbers]
        # A number past the end came after this version.
        wanted[[number for number in numbers if number < len(wanted)]] = True
        return wanted

    def search(
        self, query: Vector, limit: int, allowed: Bitmap | None = None
    ) -> list[tuple[int, float]]:
        """Row ids and cosine similarities of the nearest vectors, the nearest first.

        Args:
            query: shape (dimension,), length 1.
            allowed: the documents to look at, by number; None is all.
        """
        ids: list[NDArray[np.int64]] = []
        scores: list[Vector] = []
        for segment, alive in zip(self.segments, self.alive, strict=True):
            kept = alive
            if allowed is not None:
                kept = alive & allowed[segment.documents[: len(alive)]]
            rows, similarities = _nearest(segment, kept, query, limit)
            ids.append(segment.ids[rows])
            scores.append(similarities)
        if not ids:
            return []
        return best(np.concatenate(ids), np.concatenate(scores), limit)

    def similarities(self, query: Vector, rows: Sequence[int]) -> dict[int, float]:
        """The cosine similarities of those of some rows that are in this version."""
        wanted = np.asarray(rows, np.int64)
        found: dict[int, float] = {}
        for segment, alive in zip(self.segments, self.alive, strict=True):
            places = np.flatnonzero(alive & np.isin(segment.ids[: len(alive)], wanted))
            scores = segment.vectors[places] @ query
            found |= dict(zip(segment.ids[places].tolist(), scores.tolist(), strict=True))
        return found

    @property
    def is_unkept(self) -> bool:
        """Whether it is worth to write a file: many rows are in none, or the file is mostly dead.

        A file is a first segment that cannot be written to.
        """
        if not self.segments:
            return False
        counts = [int(np.count_nonzero(alive)) for alive in self.alive]
        if self.segments[0].vectors.flags.writeable:
            return sum(counts) >= WORTH_A_FILE
        behind = sum(counts[1:])
        return behind >= max(WORTH_A_FILE, counts[0] // 5) or self._is_wasted

    @property
    def beside(self) -> int:
        """Rows that are compared one by one, where the others have an approximate index."""
        if not self.segments or self.segments[0].graph is None:
            return 0
        return sum(int(np.count_nonzero(alive)) for alive in self.alive[1:])

    @property
    def _is_wasted(self) -> bool:
        """Whether most of the file is dead."""
        alive = self.alive[0]
        return len(alive) > WORTH_A_FILE and 2 * int(np.count_nonzero(alive)) < len(alive)

    @property
    def lasting(self) -> Rows:
        """What a file would keep: the last file's rows in their places, unless most are dead.

        A graph goes by the places, so it can go on from where it was.
        """
        alive = list(self.alive)
        if not self.segments[0].vectors.flags.writeable and not self._is_wasted:
            alive[0] = np.ones(len(alive[0]), np.bool_)
        kept = [np.flatnonzero(bitmap) for bitmap in alive]
        pairs = list(zip(self.segments, kept, strict=True))
        ids = np.concatenate([segment.ids[rows] for segment, rows in pairs])
        vectors = np.concatenate([segment.vectors[rows] for segment, rows in pairs])
        return Rows(ids, (), vectors)

    @property
    def ids(self) -> set[int]:
        """The rows alive in this version."""
        found: set[int] = set()
        for segment, alive in zip(self.segments, self.alive, strict=True):
            found.update(segment.ids[np.flatnonzero(alive)].tolist())
        return found


def _nearest(
    segment: Segment, kept: Bitmap, query: Vector, limit: int
) -> tuple[NDArray[np.int64], Vector]:
    """Places in a segment, the nearest among them, and their similarities.

    A graph proposes; where too little of what it proposes is kept, every kept row is compared.
    """
    rows = np.flatnonzero(kept)
    few = len(rows) < _FEW * len(kept)
    if segment.graph is not None and not few and len(rows) > limit:
        proposed = segment.graph.search(query, _PROPOSED * limit).keys.astype(np.int64)
        near = proposed[kept[proposed]]
        if len(near) >= limit:
            return near, segment.vectors[near] @ query
    if few:
        return rows, segment.vectors[rows] @ query
    return rows, (segment.vectors[: len(kept)] @ query)[rows]


def best(ids: NDArray[np.int64], scores: Vector, limit: int) -> list[tuple[int, float]]:
    """The highest scores with their ids, the highest first; among equals the lower id."""
    if len(scores) > limit:
        near = np.argpartition(-scores, limit - 1)[:limit]
        ids, scores = ids[near], scores[near]
    order = np.lexsort((ids, -scores))
    return [(int(ids[i]), float(scores[i])) for i in order]


def living(segments: Sequence[Segment], alive: Sequence[Bitmap], names: Mapping[int, str]) -> Rows:
    """The rows that are alive, in the order of their segments."""
    kept = [(one, np.flatnonzero(bitmap)) for one, bitmap in zip(segments, alive, strict=True)]
    if not kept:
        return Rows.of({})
    ids, numbers = _alive_ids(segments, alive)
    return Rows(
        ids,
        [names[number] for number in numbers.tolist()],
        np.concatenate([segment.vectors[rows] for segment, rows in kept]),
    )


def _alive_ids(
    segments: Sequence[Segment], alive: Sequence[Bitmap]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The ids of the rows that are alive, and the numbers of their documents."""
    kept = [(one, np.flatnonzero(bitmap)) for one, bitmap in zip(segments, alive, strict=True)]
    if not kept:
        return np.zeros(0, np.int64), np.zeros(0, np.int32)
    ids = np.concatenate([segment.ids[rows] for segment, rows in kept])
    return ids, np.concatenate([segment.documents[rows] for segment, rows in kept])


class LibraryVectors:
    """The versions of one library. `stage` a version, then `publish` it once SQL has it too."""

    def __init__(self, version: int) -> None:
        self._versions: OrderedDict[int, Snapshot] = OrderedDict()
        self._latest = Snapshot(version, (), (), np.zeros(0, np.int32), {})
        self._versions[version] = self._latest
        self._beside = 0

    @property
    def latest(self) -> Snapshot:
        return self._latest

    def needs_a_file(self) -> bool:
        """Whether it is worth to write a file now.

        While much comes, that is so each time a library has grown by a fifth, since all of it is
        written; what came last joins the approximate index once nothing has come since the last
        call.
        """
        beside, before = self._latest.beside, self._beside
        self._beside = beside
        return self._latest.is_unkept or beside == before >= MANY_BESIDE

    def at(self, version: int) -> Snapshot | None:
        """The rows of one of the last versions; None when it is too old."""
        return self._versions.get(version)

    def stage(
        self,
        version: int,
        removed: Sequence[int],
        added: Rows,
        access: Mapping[str, int] | None = None,
    ) -> None:
        """Make ``version`` readable: the latest without ``removed`` and with ``added``.

        Args:
            access: the access lists of documents that are new or changed theirs.
        """
        draft = _Draft(self._latest)
        draft.remove(removed)
        if draft.is_mostly_dead:
            draft.compact()
        draft.append(added)
        draft.set_access(access or {})
        self._versions[version] = draft.snapshot(version)

    def attach(self, sealed: Segment, documents: Mapping[int, str] | None = None) -> None:
        """Let the latest version stand on a kept file; what the file lacks is laid out behind it.

        Args:
            documents: of each row that is alive, where the latest version has none of them yet.
        """
        draft = _Draft(self._latest)
        draft.attach(sealed, documents)
        self._latest = draft.snapshot(self._latest.version)
        self._versions[self._latest.version] = self._latest

    def publish(self, version: int) -> None:
        """Make a staged version the one that the next is built on."""
        self._latest = self._versions[version]
        while len(self._versions) > _KEPT_VERSIONS:
            self._versions.popitem(last=False)

    def discard(self, version: int) -> None:
        """Forget a staged version that SQL did not take."""
        self._versions.pop(version, None)


class _Draft:
    """The next version: shares with the last what it does not change."""

    def __init__(self, last: Snapshot) -> None:
        self._segments = list(last.segments)
        self._alive = list(last.alive)
        self._access = last.access
        self._numbers = last.numbers  # shared: who looks into it knows how far a version reaches

    def remove(self, removed: Sequence[int]) -> None:
        dead = np.asarray(removed, np.int64)
        if not len(dead):
            return
        for number, (segment, alive) in enumerate(zip(self._segments, self._alive, strict=True)):
            hit = np.isin(segment.ids[: len(alive)], dead)
            if hit.any():
                self._alive[number] = alive & ~hit

    @property
    def is_mostly_dead(self) -> bool:
        total = sum(map(len, self._alive))
        return total > _FIRST_ROWS and 2 * sum(map(np.count_nonzero, self._alive)) < total

    def compact(self) -> None:
        """Lay the living rows out anew."""
        names = {number: name for name, number in self._numbers.items()}
        rows = living(self._segments, self._alive, names)
        known = {name: int(self._access[self._numbers[name]]) for name in set(rows.documents)}
        self._segments, self._alive, self._numbers = [], [], {}
        self._access = np.zeros(0, np.int32)
        self.append(rows)
        self.set_access(known)

    def attach(self, sealed: Segment, documents: Mapping[int, str] | None) -> None:
        if documents is None:
            rest = [
                alive & ~np.isin(segment.ids[: len(alive)], sealed.ids)
                for segment, alive in zip(self._segments, self._alive, strict=True)
            ]
            names = {number: name for name, number in self._numbers.items()}
            behind = living(self._segments, rest, names)
            ids, numbers = _alive_ids(self._segments, self._alive)
        else:
            behind = Rows.of({})
            ids = np.fromiter(documents, np.int64, len(documents))
            numbers = self._numbered(documents.values())
        order = np.argsort(ids)
        ids, numbers = ids[order], numbers[order]
        places = np.minimum(np.searchsorted(ids, sealed.ids), max(0, len(ids) - 1))
        alive = np.zeros(len(sealed.ids), np.bool_)
        if len(ids):
            alive = ids[places] == sealed.ids
            sealed.documents[alive] = numbers[places[alive]]
        self._segments, self._alive = [sealed], [alive]
        self.append(behind)
        self.set_access({})

    def append(self, rows: Rows) -> None:
        done, total = 0, len(rows.ids)
        numbers = self._numbered(rows.documents)
        while done < total:
            if not self._segments or len(self._alive[-1]) == len(self._segments[-1].ids):
                held = sum(map(len, self._alive))
                capacity = min(max(_FIRST_ROWS, held, total - done), _MOST_ROWS)
                self._segments.append(Segment.empty(capacity, rows.vectors.shape[1]))
                self._alive.append(np.zeros(0, np.bool_))
            segment, begin = self._segments[-1], len(self._alive[-1])
            count = min(total - done, len(segment.ids) - begin)
            segment.vectors[begin : begin + count] = rows.vectors[done : done + count]
            segment.ids[begin : begin + count] = rows.ids[done : done + count]
            segment.documents[begin : begin + count] = numbers[done : done + count]
            self._alive[-1] = np.concatenate([self._alive[-1], np.ones(count, np.bool_)])
            done += count

    def set_access(self, access: Mapping[str, int]) -> None:
        numbers = [self._number(document) for document in access]
        if len(self._numbers) > len(self._access):
            grown = np.zeros(len(self._numbers), np.int32)
            grown[: len(self._access)] = self._access
            self._access = grown
        values = np.fromiter(access.values(), np.int32, len(access))
        if numbers and (self._access[numbers] != values).any():
            self._access = self._access.copy()
            self._access[numbers] = values

    def snapshot(self, version: int) -> Snapshot:
        return Snapshot(
            version, tuple(self._segments), tuple(self._alive), self._access, self._numbers
        )

    def _numbered(self, documents: Collection[str]) -> NDArray[np.int32]:
        for document in dict.fromkeys(documents):
            self._number(document)
        return np.fromiter(map(self._numbers.__getitem__, documents), np.int32, len(documents))

    def _number(self, document: str) -> int:
        return self._numbers.setdefault(document, len(self._numbers))
