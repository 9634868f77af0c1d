"""Matches new passages against kept queries: the reverse of a search.

A search asks which passages are near a query; here a passage asks which queries it could be near
enough to. Each query keeps two bars, taken from its last search: the similarity and the weight of
its words below which a passage cannot come among those that it admits. What passes a bar is only
a candidate: a real search decides.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]

_FIRST_SLOTS = 64
_AT_ONCE = 256  # new passages in one matrix product


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What a query's last search says of the passages that could come next.

    Attributes:
        identity: the embedder of ``vector``; None where the search went by keywords alone.
        vector: float32 bytes.
        vector_bar: cosine from which on a new passage may be admitted.
        terms: the query's words as `terms.keys`, and what each weighs.
        term_bar: weight from which on a new passage may be admitted.
        rows: the passages at and around the border; that one of them goes may admit another.
        documents: the documents that they are of.
    """

    identity: str | None = None
    vector: bytes | None = None
    vector_bar: float = -1.0
    terms: dict[str, float] = {}
    term_bar: float = 0.0
    rows: tuple[int, ...] = ()
    documents: tuple[str, ...] = ()


class Matcher:
    """The kept queries of one library."""

    def __init__(self) -> None:
        self._states: dict[str, State] = {}
        self._slots: dict[str, int] = {}
        self._ids: list[str | None] = []
        self._free: list[int] = []
        self._vectors: Vector = np.zeros((0, 0), np.float32)
        self._vector_bars: NDArray[np.float32] = np.zeros(0, np.float32)
        self._term_bars: NDArray[np.float32] = np.zeros(0, np.float32)
        self._terms: defaultdict[str, dict[int, float]] = defaultdict(dict)
        self._rows: defaultdict[int, set[str]] = defaultdict(set)
        self._documents: defaultdict[str, set[str]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._states)

    def weight(self, term: str) -> float:
        """How much a word tells: less, the more queries have it."""
        return float(np.log1p((1 + len(self._states)) / (1 + len(self._terms.get(term, ())))))

    def put(self, query_id: str, state: State) -> None:
        """Keep a query, or what its last search says now."""
        self.remove(query_id)
        slot = self._free.pop() if self._free else self._grow()
        self._states[query_id], self._slots[query_id], self._ids[slot] = state, slot, query_id
        self._term_bars[slot] = state.term_bar
        self._vector_bars[slot] = np.inf
        if state.vector is not None:
            self._put_vector(slot, np.frombuffer(state.vector, np.float32), state.vector_bar)
        for term, weight in state.terms.items():
            self._terms[term][slot] = weight
        for row in state.rows:
            self._rows[row].add(query_id)
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
        self._vector_bars[slot] = np.inf
        for term in state.terms:
            _discard(self._terms, term, slot)
        for row in state.rows:
            _discard(self._rows, row, query_id)
        for document_id in state.documents:
            _discard(self._documents, document_id, query_id)

    @property
    def ids(self) -> set[str]:
        """Every query that is kept."""
        return set(self._states)

    def holding(self, rows: Iterable[int], documents: Iterable[str] = ()) -> set[str]:
        """The queries near whose border one of these passages or documents stands."""
        found: set[str] = set()
        for row in rows:
            found |= self._rows.get(row, set())
        for document_id in documents:
            found |= self._documents.get(document_id, set())
        return found

    def by_words(self, passages: Sequence[set[str]]) -> set[str]:
        """The queries that a passage with these keys may be admitted to by its words."""
        found: set[int] = set()
        for given in passages:
            weights: defaultdict[int, float] = defaultdict(float)
            for term in given & self._terms.keys():
                for slot, weight in self._terms[term].items():
                    weights[slot] += weight
            found.update(slot for slot, sum_ in weights.items() if sum_ >= self._term_bars[slot])
        return self._named(found)

    def by_meaning(self, vectors: Sequence[Vector]) -> set[str]:
        """The queries that a passage with one of these vectors may be admitted to by meaning."""
        found: set[int] = set()
        for start in range(0, len(vectors), _AT_ONCE):
            new = np.stack(vectors[start : start + _AT_ONCE])
            if new.shape[1] != self._vectors.shape[1]:
                continue  # of another embedder
            similar = self._vectors @ new.T
            found.update(
                np.flatnonzero((similar >= self._vector_bars[:, None]).any(axis=1)).tolist()
            )
        return self._named(found)

    def _named(self, slots: Iterable[int]) -> set[str]:
        return {name for slot in slots if (name := self._ids[slot]) is not None}

    def _put_vector(self, slot: int, vector: Vector, bar: float) -> None:
        if self._vectors.shape[1] != len(vector):  # the first, or of another embedder
            self._vectors = np.zeros((len(self._ids), len(vector)), np.float32)
            self._vector_bars[:] = np.inf
        self._vectors[slot] = vector
        self._vector_bars[slot] = bar

    def _grow(self) -> int:
        slots, now = len(self._ids), max(_FIRST_SLOTS, 2 * len(self._ids))
        more = now - slots
        self._ids += [None] * more
        self._vectors = np.pad(self._vectors, ((0, more), (0, 0)))
        self._vector_bars = np.pad(self._vector_bars, (0, more), constant_values=np.inf)
        self._term_bars = np.pad(self._term_bars, (0, more))
        self._free = list(range(now - 1, slots, -1))
        return slots


def _discard(sets: Mapping, key: object, value: object) -> None:  # type: ignore[type-arg]
    """Take a value from the set or dict under a key, and the key where nothing is left."""
    held = sets[key]
    if isinstance(held, set):
        held.discard(value)
    else:
        held.pop(value, None)
    if not held:
        sets.pop(key)  # type: ignore[attr-defined]
