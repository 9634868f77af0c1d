"""An exact vector index whose every version stays readable while the next is made.

Vectors are appended to segments and never moved; a version is a row count per segment and a
bitmap of the rows that are alive in it. What a change does not touch is shared with the version
before. A search takes one version and sees exactly its rows. Written by one thread, read by many.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FIRST_ROWS = 256
_MOST_ROWS = 65_536
_KEPT_VERSIONS = 16
_FEW = 0.1  # share of a segment below which its rows are gathered before they are multiplied

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
class _Segment:
    """Rows up to a capacity; those past a version's count are its future."""

    vectors: Vector  # (capacity, dimension)
    ids: NDArray[np.int64]  # (capacity,)
    documents: NDArray[np.int32]  # (capacity,), numbers of the rows' documents

    @classmethod
    def empty(cls, capacity: int, dimension: int) -> "_Segment":
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
    segments: tuple[_Segment, ...]
    alive: tuple[Bitmap, ...]
    access: NDArray[np.int32]
    numbers: dict[str, int]

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
            count = len(alive)
            kept = alive if allowed is None else alive & allowed[segment.documents[:count]]
            rows = np.flatnonzero(kept)
            if len(rows) < _FEW * count:
                similarities = segment.vectors[rows] @ query
            else:
                similarities = (segment.vectors[:count] @ query)[rows]
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
    def ids(self) -> set[int]:
        """The rows alive in this version."""
        found: set[int] = set()
        for segment, alive in zip(self.segments, self.alive, strict=True):
            found.update(segment.ids[np.flatnonzero(alive)].tolist())
        return found


def best(ids: NDArray[np.int64], scores: Vector, limit: int) -> list[tuple[int, float]]:
    """The highest scores with their ids, the highest first; among equals the lower id."""
    if len(scores) > limit:
        near = np.argpartition(-scores, limit - 1)[:limit]
        ids, scores = ids[near], scores[near]
    order = np.lexsort((ids, -scores))
    return [(int(ids[i]), float(scores[i])) for i in order]


class LibraryVectors:
    """The versions of one library. `stage` a version, then `publish` it once SQL has it too."""

    def __init__(self, version: int) -> None:
        self._versions: OrderedDict[int, Snapshot] = OrderedDict()
        self._latest = Snapshot(version, (), (), np.zeros(0, np.int32), {})
        self._versions[version] = self._latest

    @property
    def latest(self) -> Snapshot:
        return self._latest

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
        pairs = list(zip(self._segments, self._alive, strict=True))
        names = {number: name for name, number in self._numbers.items()}
        kept = [(segment, np.flatnonzero(alive)) for segment, alive in pairs]
        documents = np.concatenate([segment.documents[rows] for segment, rows in kept])
        rows = Rows(
            np.concatenate([segment.ids[rows] for segment, rows in kept]),
            [names[number] for number in documents.tolist()],
            np.concatenate([segment.vectors[rows] for segment, rows in kept]),
        )
        known = {names[number]: int(self._access[number]) for number in set(documents.tolist())}
        self._segments, self._alive, self._numbers = [], [], {}
        self._access = np.zeros(0, np.int32)
        self.append(rows)
        self.set_access(known)

    def append(self, rows: Rows) -> None:
        done, total = 0, len(rows.ids)
        numbers = np.fromiter(map(self._number, rows.documents), np.int32, total)
        while done < total:
            if not self._segments or len(self._alive[-1]) == len(self._segments[-1].ids):
                held = sum(map(len, self._alive))
                capacity = min(max(_FIRST_ROWS, held, total - done), _MOST_ROWS)
                self._segments.append(_Segment.empty(capacity, rows.vectors.shape[1]))
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

    def _number(self, document: str) -> int:
        return self._numbers.setdefault(document, len(self._numbers))
