"""Matches changes of passages against kept queries: the reverse of a search.

Each query keeps the two lists that its last search put together. A change is made in these lists,
for all queries at once: passages that went are taken out, new ones are put where their words and
their meaning would place them. Only a query that now admits other passages than were seen is a
candidate; a real search decides.

New passages are placed a little too well, since weights drift as a library grows, and a query whose
lists were mended often is searched again, so that what could enter is never passed over.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from ponant.live.indexing.search import DEPTH
from ponant.live.standing.rankings import (
    NONE,
    NOTHING,
    Rows,
    Weights,
    admitted,
    merged,
    without,
)
from ponant.live.standing.weights import Fullness

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
Vector = NDArray[np.float32]
Slots = NDArray[np.int64]

_FIRST_SLOTS = 64
_AT_ONCE = 32  # new passages
_HEAVIER = np.float32(
    1.1
)  # how much a new passage's words may weigh more by the index's present counts
_NEARER = np.float32(1e-3)  # cosine; the same text embedded in another batch differs by less
_MOST_MENDED = 64  # changes of a query's lists before it is searched again
WORDS, MEANING = 0, 1


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What a query's last search found.

    Attributes:
        identity: the embedder of ``vector``; None where the search went by keywords alone.
        vector: float32 bytes.
        terms: the query's terms and how telling each is.
        lists: rows and weights of the list by words and of that by meaning, as bytes.
        admitted: the rows of the passages that the search gave.
        limit: how many it gives at most.
        loose: whether it has rules that the lists do not know, such as filters.
        rows: the admitted and the pinned passages: that one of them goes is a change.
        documents: the documents that they are of.
        pinned: passages beside them that are to stay as they are, as ``id:hash``.
        lost: whether one of those is not any more, or may not be read any more.
    """

    identity: str | None = None
    vector: bytes | None = None
    terms: dict[str, float] = {}
    lists: tuple[bytes, bytes, bytes, bytes] = (b"", b"", b"", b"")
    admitted: tuple[int, ...] = ()
    limit: int = 1
    loose: bool = True
    rows: tuple[int, ...] = ()
    documents: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A passage that is new, or found otherwise from now on.

    Attributes:
        for_all: whether everybody may read it.
    """

    row: int
    fullness: Fullness
    vector: Vector | None
    for_all: bool = True


class Matcher:
    """The kept queries of an installation."""

    def __init__(self) -> None:
        self._states: dict[str, State] = {}
        self._libraries: dict[str, tuple[str, ...]] = {}
        self._slots: dict[str, int] = {}
        self._ids: list[str | None] = []
        self._free: list[int] = []
        self._members: defaultdict[str, set[int]] = defaultdict(set)
        self._vectors: Vector = np.zeros((0, 0), np.float32)
        self._rows: Rows = np.zeros((2, 0, DEPTH), np.int64)
        self._weights: Weights = np.zeros((2, 0, DEPTH), np.float32)
        self._admitted: Rows = np.zeros((0, DEPTH), np.int64)
        self._limits: NDArray[np.int64] = np.zeros(0, np.int64)
        self._by_meaning: NDArray[np.bool_] = np.zeros(0, bool)
        self._loose: NDArray[np.bool_] = np.zeros(0, bool)
        self._mended: NDArray[np.int64] = np.zeros(0, np.int64)
        self._terms: defaultdict[str, dict[int, float]] = defaultdict(dict)
        self._postings: dict[str, tuple[Slots, Weights]] = {}
        self._holders: defaultdict[int, set[str]] = defaultdict(set)
        self._documents: defaultdict[str, set[str]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._states)

    def put(self, query_id: str, library_ids: Sequence[str], state: State) -> None:
        """Keep a query, or what its last search says now."""
        self.remove(query_id)
        slot = self._free.pop() if self._free else self._grow()
        self._states[query_id], self._slots[query_id], self._ids[slot] = state, slot, query_id
        self._libraries[query_id] = tuple(library_ids)
        for library_id in library_ids:
            self._members[library_id].add(slot)
        self._place(slot, state)
        for term, weight in state.terms.items():
            self._terms[term][slot] = weight
            self._postings.pop(term, None)
        for row in state.rows:
            self._holders[row].add(query_id)
        for document_id in state.documents:
            self._documents[document_id].add(query_id)

    def remove(self, query_id: str) -> None:
        """Keep a query no longer; one that is not kept is none."""
        state = self._states.pop(query_id, None)
        if state is None:
            return
        slot = self._slots.pop(query_id)
        self._ids[slot] = None
        self._free.append(slot)
        for library_id in self._libraries.pop(query_id):
            _discard(self._members, library_id, slot)
        for term in state.terms:
            self._postings.pop(term, None)
            self._terms[term].pop(slot, None)
            if not self._terms[term]:
                del self._terms[term]
        for row in state.rows:
            _discard(self._holders, row, query_id)
        for document_id in state.documents:
            _discard(self._documents, document_id, query_id)

    def of(self, library_id: str) -> set[str]:
        """Every query that is asked of a library."""
        return self._names(self._members.get(library_id, ()))

    def holding(self, rows: Iterable[int], documents: Iterable[str] = ()) -> set[str]:
        """The queries to which one of these passages, or one of these documents, matters."""
        found: set[str] = set()
        for row in rows:
            found |= self._holders.get(row, set())
        for document_id in documents:
            found |= self._documents.get(document_id, set())
        return found

    def listed(self, query_id: str) -> set[int]:
        """Every passage that stands in a query's lists."""
        slot = self._slots[query_id]
        return set(self._rows[:, slot].ravel().tolist()) - {NONE}

    def forget(self, rows: Iterable[int]) -> None:
        """Take passages that are not any more out of every list."""
        gone = np.fromiter(rows, np.int64)
        for one in (WORDS, MEANING):
            self._rows[one], self._weights[one] = without(self._rows[one], self._weights[one], gone)

    def match(
        self, library_id: str, removed: Sequence[int], newcomers: Sequence[Newcomer]
    ) -> set[str]:
        """The queries that may admit other passages after a change of a library."""
        members = self._members.get(library_id)
        if not members:
            return set()
        here = np.zeros(len(self._ids), bool)
        here[list(members)] = True
        gone = np.array([*removed, *(one.row for one in newcomers)], np.int64)
        thinned = self._take_out(here, gone)
        found: set[int] = set()
        for begin in range(0, len(newcomers), _AT_ONCE):
            found |= self._put_in(here, newcomers[begin : begin + _AT_ONCE])
        found |= self._changed(thinned, (self._rows[WORDS, thinned], self._rows[MEANING, thinned]))
        return self._names(found)

    def _take_out(self, here: NDArray[np.bool_], gone: Rows) -> Slots:
        """Take passages out of the lists that they stand in, and say of which queries these are."""
        slots = np.flatnonzero(here & np.isin(self._rows, gone).any(axis=(0, 2)))
        lists = [
            without(self._rows[one, slots], self._weights[one, slots], gone)
            for one in (WORDS, MEANING)
        ]
        self._mend(slots, lists)
        return slots

    def _put_in(self, here: NDArray[np.bool_], newcomers: Sequence[Newcomer]) -> set[int]:
        """Put passages into the lists that they reach; the queries that may admit them."""
        heavy = np.where(here[:, None], self._heavy(newcomers), NOTHING)
        near = np.where((here & self._by_meaning)[:, None], self._near(newcomers), NOTHING)
        last = self._weights[:, :, -1:]
        enters = (heavy * _HEAVIER > last[WORDS]) | (near + _NEARER > last[MEANING])
        slots = np.flatnonzero(enters.any(axis=1))
        rows = np.array([one.row for one in newcomers], np.int64)
        heavy, near = heavy[slots], near[slots]
        words, meaning = self._lists(slots, rows, (heavy * _HEAVIER, near + _NEARER))
        found = self._changed(slots, (words[0], meaning[0]))
        # Those that not everybody may read would stand in the way of others in lists of those who
        # may not; a list without one only places others too well.
        for_all = [place for place, one in enumerate(newcomers) if one.for_all]
        kept = heavy[:, for_all], near[:, for_all]
        self._mend(slots, self._lists(slots, rows[for_all], kept))
        return found

    def _lists(
        self, slots: Slots, rows: Rows, weights: tuple[Weights, Weights]
    ) -> list[tuple[Rows, Weights]]:
        return [
            merged(self._rows[one, slots], self._weights[one, slots], rows, weights[one])
            for one in (WORDS, MEANING)
        ]

    def _changed(self, slots: Slots, lists: tuple[Rows, Rows]) -> set[int]:
        """Those of some queries that by these lists admit other passages than were seen."""
        now = admitted(*lists, self._limits[slots])
        before = self._admitted[slots, DEPTH - now.shape[1] :]
        other = (now != before).any(axis=1) | self._loose[slots]
        other |= self._mended[slots] > _MOST_MENDED
        return set(slots[other].tolist())

    def _mend(self, slots: Slots, lists: Sequence[tuple[Rows, Weights]]) -> None:
        for one, (rows, weights) in enumerate(lists):
            self._rows[one, slots], self._weights[one, slots] = rows, weights
        self._mended[slots] += 1

    def _heavy(self, newcomers: Sequence[Newcomer]) -> Weights:
        """What the words of passages weigh for each query, -inf where they share none."""
        weights = np.zeros((len(self._ids), len(newcomers)), np.float32)
        for place, one in enumerate(newcomers):
            for term in one.fullness.keys() & self._terms.keys():
                slots, telling = self._posted(term)
                weights[slots, place] += np.float32(one.fullness[term]) * telling
        weights[weights == 0] = NOTHING
        return weights

    def _near(self, newcomers: Sequence[Newcomer]) -> Weights:
        """The cosine of each query and passage, -inf where there is none."""
        near = np.full((len(self._ids), len(newcomers)), NOTHING, np.float32)
        size = self._vectors.shape[1]
        known = [
            (place, one.vector)
            for place, one in enumerate(newcomers)
            if one.vector is not None and len(one.vector) == size
        ]
        if known:
            near[:, [place for place, _ in known]] = (
                self._vectors @ np.stack([vector for _, vector in known]).T
            )
        return near

    def _posted(self, term: str) -> tuple[Slots, Weights]:
        if term not in self._postings:
            held = self._terms[term]
            self._postings[term] = (
                np.fromiter(held.keys(), np.int64, len(held)),
                np.fromiter(held.values(), np.float32, len(held)),
            )
        return self._postings[term]

    def _place(self, slot: int, state: State) -> None:
        for one in (WORDS, MEANING):
            rows = np.frombuffer(state.lists[2 * one], np.int64)
            weights = np.frombuffer(state.lists[2 * one + 1], np.float32)
            self._rows[one, slot], self._weights[one, slot] = NONE, NOTHING
            self._rows[one, slot, : len(rows)] = rows
            self._weights[one, slot, : len(weights)] = weights
        self._admitted[slot] = NONE
        if state.admitted:
            self._admitted[slot, -len(state.admitted) :] = sorted(state.admitted)
        self._limits[slot], self._mended[slot] = state.limit, 0
        self._loose[slot], self._by_meaning[slot] = state.loose, state.vector is not None
        if state.vector is not None:
            vector = np.frombuffer(state.vector, np.float32)
            if self._vectors.shape[1] != len(vector):  # the first, or of another embedder
                self._vectors = np.zeros((len(self._ids), len(vector)), np.float32)
                self._by_meaning[:] = False
                self._by_meaning[slot] = True
            self._vectors[slot] = vector

    def _grow(self) -> int:
        slots, now = len(self._ids), max(_FIRST_SLOTS, 2 * len(self._ids))
        more = now - slots
        self._ids += [None] * more
        self._vectors = np.pad(self._vectors, ((0, more), (0, 0)))
        self._rows = np.pad(self._rows, ((0, 0), (0, more), (0, 0)), constant_values=NONE)
        self._weights = np.pad(self._weights, ((0, 0), (0, more), (0, 0)), constant_values=NOTHING)
        self._admitted = np.pad(self._admitted, ((0, more), (0, 0)), constant_values=NONE)
        self._limits = np.pad(self._limits, (0, more))
        self._by_meaning = np.pad(self._by_meaning, (0, more))
        self._loose = np.pad(self._loose, (0, more))
        self._mended = np.pad(self._mended, (0, more))
        self._free = list(range(now - 1, slots, -1))
        return slots

    def _names(self, slots: Iterable[int]) -> set[str]:
        return {name for slot in slots if (name := self._ids[slot]) is not None}


def _discard(sets: dict[_Key, set[_Value]], key: _Key, value: _Value) -> None:
    """Take a value from the set under a key, and the key where nothing is left."""
    sets[key].discard(value)
    if not sets[key]:
        del sets[key]
