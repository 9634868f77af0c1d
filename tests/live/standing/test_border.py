"""The bars let every passage through that a search would admit, and few others."""

import numpy as np
import pytest
from msgspec.structs import replace

from ponant.live.indexing.search import SMOOTHING
from ponant.live.port import Hit
from ponant.live.standing.border import bars
from ponant.live.standing.matching import Matcher, Newcomer, State
from tests.fakes.knowledge import hit

_LIMIT = 8
_LOOKED_AT = 40
_LISTED = 50
_PASSAGES = 600


def _search(near: np.ndarray, told: np.ndarray) -> list[Hit]:
    """The fused best of two lists over passages of these cosines and weights."""
    by_meaning = {int(row): rank for rank, row in enumerate(np.argsort(-near)[:_LISTED], 1)}
    with_words = [row for row in np.argsort(-told)[:_LISTED] if told[row] > 0]
    by_words = {int(row): rank for rank, row in enumerate(with_words, 1)}
    found = []
    for row in by_meaning.keys() | by_words.keys():
        meaning, words = by_meaning.get(row), by_words.get(row)
        score = sum(1 / (SMOOTHING + rank) for rank in (meaning, words) if rank)
        one = replace(hit("a", str(row)), passage_id=str(row), score=score)
        found.append(replace(one, keyword_rank=words, vector_rank=meaning))
    return sorted(found, key=lambda one: (-one.score, int(one.passage_id)))


@pytest.mark.parametrize("seed", range(5))
def test_no_passage_that_enters_is_passed_over_and_few_others_are_looked_at(seed: int) -> None:
    random = np.random.default_rng(seed)
    entered = candidates = 0
    trials = 300
    near = random.normal(0.3, 0.1, _PASSAGES + 1)
    told = random.exponential(1.0, _PASSAGES + 1) * (random.random(_PASSAGES + 1) < 0.3)
    before = _search(near[:-1], told[:-1])[:_LOOKED_AT]
    similar = {str(row): float(value) for row, value in enumerate(near)}
    weights = {str(row): float(value) for row, value in enumerate(told)}
    meaning, telling = bars(before, _LIMIT, similar, weights)
    matcher = Matcher()
    state = State(
        vector=np.array([1.0], np.float32).tobytes(),
        terms={"word": 1.0},
        meaning=meaning,
        telling=telling,
    )
    matcher.put("query", state)
    for _ in range(trials):
        near[-1] = random.normal(0.35, 0.15)
        told[-1] = random.exponential(1.5) * (random.random() < 0.5)
        admitted = {one.passage_id for one in _search(near, told)[:_LIMIT]}
        newcomer = Newcomer({"word": float(told[-1])}, np.array([near[-1]], np.float32))
        is_candidate = bool(matcher.admitting([newcomer]))
        if str(_PASSAGES) in admitted:
            entered += 1
            assert is_candidate, (near[-1], told[-1], meaning, telling)
        candidates += is_candidate
    assert entered
    assert candidates <= entered + 0.25 * trials  # they are drawn from near the border


def test_a_thousand_queries_are_matched_and_those_that_went_are_not() -> None:
    random = np.random.default_rng(7)
    vectors = random.normal(size=(1000, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    matcher = Matcher()
    never = bars([hit("a", "b")], 1, {}, {})[1]
    for number, vector in enumerate(vectors):
        meaning = replace(never, alone=0.99, shared=2.0, seen=2.0)
        closed = replace(never, alone=9.0, shared=9.0, seen=9.0)
        state = State(vector=vector.tobytes(), meaning=meaning, telling=closed, rows=(number,))
        matcher.put(f"q{number}", state)
    assert matcher.admitting([Newcomer({}, vectors[17])]) == {"q17"}
    assert matcher.holding([4, 5, 5000]) == {"q4", "q5"}
    matcher.remove("q17")
    assert matcher.admitting([Newcomer({}, vectors[17])]) == set()
    assert len(matcher) == 999
