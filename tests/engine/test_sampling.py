"""Sampling by distribution, against plain softmax written out in NumPy."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ponant.engine import Request, Sampling
from ponant.engine.sampling import Sampler, score

DRAWS = 3000
LOGITS = [2.0, 1.5, 1.5, 1.0, 0.0, -1.0, -1.0, -2.0, -3.0, 0.5]


class FakeConstraint:
    """Allows the same tokens forever."""

    complete = False

    def __init__(self, allowed: set[int], words: int = 1) -> None:
        self._mask = np.zeros(words, np.uint32)
        for token in allowed:
            self._mask[token // 32] |= np.uint32(1 << token % 32)

    def mask(self) -> np.ndarray:
        return self._mask

    def accept(self, token: int) -> bool:
        return True

    def rollback(self, count: int) -> None: ...

    def forced(self) -> list[int]:
        return []


def sampler(constraint: FakeConstraint | None = None, **fields: Any) -> Sampler:
    request: dict[str, Any] = {"id": "req", "prompt": [3], "max_tokens": 1}
    names = {"stop_tokens", "min_tokens", "prompt"}
    request |= {name: fields.pop(name) for name in names & fields.keys()}
    return Sampler(Request(**request, sampling=Sampling(**fields)), constraint)


def expected(logits: list[float], s: Sampling, history: list[int]) -> np.ndarray:
    """Probabilities as the port's docstring defines them."""
    z = np.array(logits, np.float64)
    for token, bias in s.logit_bias.items():
        z[token] += bias
    for token in {3, *history}:
        z[token] = (
            z[token] / s.repetition_penalty if z[token] > 0 else z[token] * s.repetition_penalty
        )
    for token, count in Counter(history).items():
        z[token] -= s.presence_penalty + s.frequency_penalty * count
    p = np.exp(z / s.temperature - np.max(z / s.temperature))
    order = np.argsort(-p, kind="stable")
    keep = np.zeros(len(p), bool)
    keep[order[: s.top_k or len(p)]] = True
    p = np.where(keep, p, 0) / p[keep].sum()
    before = np.cumsum(p[order]) - p[order]
    keep = np.zeros(len(p), bool)
    keep[order[before < s.top_p]] = True
    p = np.where(keep, p, 0)
    p[p < s.min_p * p.max()] = 0
    return p / p.sum()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 3.0},
        {"top_k": 4},
        {"top_p": 0.8},
        {"min_p": 0.2},
        {"temperature": 1.7, "top_k": 7, "top_p": 0.9, "min_p": 0.1},
        {"logit_bias": {8: 4.0, 0: -1.0}},
        {"repetition_penalty": 1.8},
        {"presence_penalty": 1.0, "frequency_penalty": 0.4},
    ],
)
def test_draws_follow_the_distribution(fields: dict[str, Any]) -> None:
    history = [0, 0, 5]
    drawing = sampler(seed=11, **fields)
    counts: Counter[int] = Counter()
    for _ in range(DRAWS):
        drawing._counts = Counter(history)
        counts[drawing.draw(torch.tensor(LOGITS))] += 1
    wanted = expected(LOGITS, Sampling(**fields), history)
    for token, p in enumerate(wanted):
        spread = 5 * np.sqrt(p * (1 - p) / DRAWS)
        assert counts[token] / DRAWS == pytest.approx(p, abs=spread), token


def test_a_wide_nucleus_is_not_cut() -> None:
    drawing = sampler(top_p=0.999, seed=1)
    drawn = {drawing.draw(torch.zeros(5000)) for _ in range(3000)}
    assert max(drawn) > 4000
    assert len(drawn) > 2000


@given(st.lists(st.floats(-20, 20), min_size=3, max_size=40), st.integers(0, 2**63))
def test_a_seed_repeats_the_draws(logits: list[float], seed: int) -> None:
    first, second = sampler(seed=seed, prompt=[0]), sampler(seed=seed, prompt=[0])
    scores = torch.tensor(logits)
    assert [first.draw(scores) for _ in range(5)] == [second.draw(scores) for _ in range(5)]


def test_greedy_ties_go_to_the_lowest_id() -> None:
    assert sampler(temperature=0.0).draw(torch.tensor([0.0, 3.0, 1.0, 3.0])) == 1


def test_the_logits_are_left_as_they_are() -> None:
    logits = torch.tensor(LOGITS)
    sampler(logit_bias={1: 5.0}, presence_penalty=1.0, temperature=0.0).draw(logits)
    assert logits.tolist() == LOGITS


def test_a_grammar_rules_out() -> None:
    drawing = sampler(FakeConstraint({6, 33}, words=2), seed=5)
    assert {drawing.draw(torch.zeros(40)) for _ in range(60)} == {6, 33}
    with pytest.raises(ValueError, match="allows no token"):
        sampler(FakeConstraint(set())).draw(torch.zeros(40))


def test_stop_tokens_wait_for_the_least_number_of_tokens() -> None:
    drawing = sampler(temperature=0.0, stop_tokens=(0,), min_tokens=2)
    logits = torch.tensor(LOGITS)
    assert [drawing.draw(logits) for _ in range(3)] == [1, 1, 0]


def test_a_grammar_at_its_end_beats_the_least_number_of_tokens() -> None:
    drawing = sampler(FakeConstraint({0}), temperature=0.0, stop_tokens=(0,), min_tokens=2)
    assert drawing.draw(torch.tensor(LOGITS)) == 0


def test_scores_are_natural_logarithms_of_softmax() -> None:
    p = np.exp(LOGITS) / np.exp(LOGITS).sum()
    token = score(torch.tensor(LOGITS), 4, 3)
    assert token.logprob == pytest.approx(np.log(p[4]), abs=1e-5)
    assert [value for _, value in token.top] == pytest.approx(np.log(np.sort(p)[:-4:-1]), abs=1e-5)
    assert score(torch.tensor(LOGITS), 4, 0).top == ()
