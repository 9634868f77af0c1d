"""Matches new passages against kept queries: the reverse of a search.

A search asks which passages are near a query; here a passage asks which queries it could be near
enough to. Each query keeps bars, taken from its last search (`border`), below which a passage
cannot come among those that it admits. What passes them is only a candidate: a real search decides.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from ponant.live.standing.border import CLOSED, OPEN_MEANING, OPEN_WORDS, Bars
from ponant.live.standing.terms import Saturations

Vector = NDArray[np.float32]

_FIRST_SLOTS = 64
_ABSENT = -3.0  # below every bar of a cosine
_Key = TypeVar("_Key")


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What a query's last search says of the passages that could come next.

    Attributes:
        identity: the embedder of ``vector``; None where the search went by keywords alone.
        vector: float32 bytes.
        terms: the query's terms and what each weighs.
        rows: the admitted passages: that one of them goes admits another.
        documents: the documents that they are of.
        pinned: passages beside them that are to stay as they are, as ``id:hash``.
        lost: whether one of those is not any more, or may not be read any more.
    """

    identity: str | None = None
    vector: bytes | None = None
    terms: dict[str, float] = {}
    meaning: Bars = OPEN_MEANING
    telling: Bars = OPEN_WORDS
    rows: tuple[int, ...] = ()
    documents: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A passage that is new, or found by meaning only now."""

    saturations: Saturations
    vector: Vector | None


class Matcher:
    """The kept queries of one library."""

    def __init__(self) -> None:
        self._states: dict[str, State] = {}
        self._slots: dict[str, int] = {}
        self._ids: list[str | None] = []
        self._free: list[int] = []
        self._vectors: Vector = np.zeros((0, 0), np.float32)
        self._meaning: NDArray[np.float32] = np.zeros((3, 0), np.float32)
        self._telling: NDArray[np.float32] = np.zeros((3, 0), np.float32)
        self._terms: defaultdict[str, dict[int, float]] = defaultdict(dict)
        self._rows: defaultdict[int, set[str]] = defaultdict(set)
        self._documents: defaultdict[str, set[str]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._states)

    def put(self, query_id: str, state: State) -> None:
        """Keep a query, or what its last search says now."""
        self.remove(query_id)
        slot = self._free.pop() if self._free else self._grow()
        self._states[query_id], self._slots[query_id], self._ids[slot] = state, slot, query_id
        self._telling[:, slot] = _numbers(state.telling)
        if state.vector is not None:
            self._put_vector(slot, np.frombuffer(state.vector, np.float32), state.meaning)
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
        self._meaning[:, slot] = self._telling[:, slot] = _numbers(CLOSED)
        for term in state.terms:
            self._terms[term].pop(slot, None)
        for row in state.rows:
            _discard(self._rows, row, query_id)
        for document_id in state.documents:
            _discard(self._documents, document_id, query_id)

    @property
    def ids(self) -> set[str]:
        """Every query that is kept."""
        return set(self._states)

    def holding(self, rows: Iterable[int], documents: Iterable[str] = ()) -> set[str]:
        """The queries that admit one of these passages, or one of these documents."""
        found: set[str] = set()
        for row in rows:
            found |= self._rows.get(row, set())
        for document_id in documents:
            found |= self._documents.get(document_id, set())
        return found

    def admitting(self, newcomers: Sequence[Newcomer]) -> set[str]:
        """The queries that one of these passages may be admitted to."""
        found: set[int] = set()
        for one in newcomers:
            found.update(np.flatnonzero(self._may_admit(one)).tolist())
        return {name for slot in found if (name := self._ids[slot]) is not None}

    def _may_admit(self, one: Newcomer) -> NDArray[np.bool_]:
        told = self._weights(one.saturations)
        near = np.full(len(self._ids), _ABSENT, np.float32)
        if one.vector is not None and len(one.vector) == self._vectors.shape[1]:
            near = self._vectors @ one.vector
        words, sense = told >= self._telling, near >= self._meaning
        alone, shared, seen = 0, 1, 2
        both = (words[shared] & sense[seen]) | (sense[shared] & words[seen])
        may: NDArray[np.bool_] = words[alone] | sense[alone] | both
        return may

    def _weights(self, saturations: Saturations) -> NDArray[np.float32]:
        weights = np.zeros(len(self._ids), np.float32)
        for term in saturations.keys() & self._terms.keys():
            value = saturations[term]
            for slot, weight in self._terms[term].items():
                weights[slot] += value * weight
        return weights

    def _put_vector(self, slot: int, vector: Vector, bars: Bars) -> None:
        if self._vectors.shape[1] != len(vector):  # the first, or of another embedder
            self._vectors = np.zeros((len(self._ids), len(vector)), np.float32)
            self._meaning[:] = np.inf
        self._vectors[slot] = vector
        self._meaning[:, slot] = _numbers(bars)

    def _grow(self) -> int:
        slots, now = len(self._ids), max(_FIRST_SLOTS, 2 * len(self._ids))
        more = now - slots
        self._ids += [None] * more
        self._vectors = np.pad(self._vectors, ((0, more), (0, 0)))
        self._meaning = np.pad(self._meaning, ((0, 0), (0, more)), constant_values=np.inf)
        self._telling = np.pad(self._telling, ((0, 0), (0, more)), constant_values=np.inf)
        self._free = list(range(now - 1, slots, -1))
        return slots


def _numbers(bars: Bars) -> tuple[float, float, float]:
    return bars.alone, bars.shared, bars.seen


def _discard(sets: defaultdict[_Key, set[str]], key: _Key, value: str) -> None:
    """Take a value from the set under a key, and the key where nothing is left."""
    sets[key].discard(value)
    if not sets[key]:
        del sets[key]
