"""An exact vector index whose every version stays readable while the next is made.

Vectors are appended to segments and never moved; a version is a row count per segment and a
bitmap of the rows that are alive in it. A search takes one version and sees exactly its rows.
Written by one thread, read by many.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FIRST_ROWS = 256
_MOST_ROWS = 65_536
_KEPT_VERSIONS = 16


@dataclass(frozen=True, slots=True, eq=False)
class _Segment:
    vectors: NDArray[
        np.float32
    ]  # (capacity, dimension); rows past a version's count are its future
    ids: NDArray[np.int64]  # (capacity,)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One version of a library's vectors."""

    version: int
    segments: tuple[_Segment, ...]
    alive: tuple[NDArray[np.bool_], ...]  # per segment, as long as its count in this version

    def search(self, query: NDArray[np.float32], limit: int) -> list[tuple[int, float]]:
        """Row ids and cosine similarities of the nearest vectors, the nearest first.

        Args:
            query: shape (dimension,), length 1.
        """
        ids: list[NDArray[np.int64]] = []
        scores: list[NDArray[np.float32]] = []
        for segment, alive in zip(self.segments, self.alive, strict=True):
            rows = np.flatnonzero(alive)
            similarities = segment.vectors[: len(alive)] @ query
            ids.append(segment.ids[rows])
            scores.append(similarities[rows])
        if not ids:
            return []
        return _best(np.concatenate(ids), np.concatenate(scores), limit)

    @property
    def ids(self) -> set[int]:
        """The rows alive in this version."""
        found: set[int] = set()
        for segment, alive in zip(self.segments, self.alive, strict=True):
            found.update(segment.ids[np.flatnonzero(alive)].tolist())
        return found


def _best(
    ids: NDArray[np.int64], scores: NDArray[np.float32], limit: int
) -> list[tuple[int, float]]:
    if len(scores) > limit:
        near = np.argpartition(-scores, limit - 1)[:limit]
        ids, scores = ids[near], scores[near]
    order = np.lexsort((ids, -scores))
    return [(int(ids[i]), float(scores[i])) for i in order]


class LibraryVectors:
    """The versions of one library. `stage` a version, then `publish` it once SQL has it too."""

    def __init__(self, version: int) -> None:
        self._versions: OrderedDict[int, Snapshot] = OrderedDict()
        self._places: dict[int, tuple[int, int]] = {}  # row id to segment and row
        self._staged_places: dict[int, tuple[int, int]] = {}
        self._latest = Snapshot(version, (), ())
        self._versions[version] = self._latest

    @property
    def latest(self) -> Snapshot:
        return self._latest

    def at(self, version: int) -> Snapshot | None:
        """The rows of one of the last versions; None when it is too old."""
        return self._versions.get(version)

    def stage(
        self, version: int, removed: Iterable[int], added: Mapping[int, NDArray[np.float32]]
    ) -> None:
        """Make ``version`` readable: the latest without ``removed`` and with ``added``."""
        alive = [bitmap.copy() for bitmap in self._latest.alive]
        segments = list(self._latest.segments)
        for row in removed:
            if (place := self._places.get(row)) is not None:
                alive[place[0]][place[1]] = False
        places = self._places
        if _is_mostly_dead(alive):
            added = _survivors(segments, alive) | dict(added)
            segments, alive, places = [], [], {}
        self._staged_places = places | _append(segments, alive, added)
        self._versions[version] = Snapshot(version, tuple(segments), tuple(alive))

    def publish(self, version: int) -> None:
        """Make a staged version the one that the next is built on."""
        self._latest = self._versions[version]
        self._places = self._staged_places
        while len(self._versions) > _KEPT_VERSIONS:
            self._versions.popitem(last=False)

    def discard(self, version: int) -> None:
        """Forget a staged version that SQL did not take."""
        self._versions.pop(version, None)


def _survivors(
    segments: Sequence[_Segment], alive: Sequence[NDArray[np.bool_]]
) -> dict[int, NDArray[np.float32]]:
    return {
        int(segment.ids[i]): segment.vectors[i]
        for segment, bitmap in zip(segments, alive, strict=True)
        for i in np.flatnonzero(bitmap)
    }


def _is_mostly_dead(alive: Sequence[NDArray[np.bool_]]) -> bool:
    total = sum(len(bitmap) for bitmap in alive)
    return total > _FIRST_ROWS and sum(int(bitmap.sum()) for bitmap in alive) * 2 < total


def _append(
    segments: list[_Segment],
    alive: list[NDArray[np.bool_]],
    added: Mapping[int, NDArray[np.float32]],
) -> dict[int, tuple[int, int]]:
    """Put rows behind the last; returns where each went, as (segment, row)."""
    places: dict[int, tuple[int, int]] = {}
    items = list(added.items())
    while items:
        if not segments or len(alive[-1]) == len(segments[-1].ids):
            capacity = min(max(_FIRST_ROWS, sum(map(len, alive)), len(items)), _MOST_ROWS)
            segments.append(
                _Segment(
                    np.zeros((capacity, len(items[0][1])), np.float32), np.zeros(capacity, np.int64)
                )
            )
            alive.append(np.zeros(0, np.bool_))
        segment, begin = segments[-1], len(alive[-1])
        taken, items = items[: len(segment.ids) - begin], items[len(segment.ids) - begin :]
        for i, (row, vector) in enumerate(taken, start=begin):
            segment.vectors[i] = vector
            segment.ids[i] = row
            places[row] = (len(segments) - 1, i)
        alive[-1] = np.concatenate([alive[-1], np.ones(len(taken), np.bool_)])
    return places
