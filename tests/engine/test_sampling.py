"""Sampling by distribution, against plain softmax written out in NumPy, in NumPy and in C++."""

import functools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.engine import Request, Sampling, Token
from ponant.engine.kernels.library import InstructionSet, available, library
from ponant.engine.sampling import (
    NO_TOKEN,
    NOT_A_NUMBER,
    Draw,
    DrawRows,
    Mask,
    Sampler,
    draw_rows,
)

DRAWS = 3000
LOGITS = [2.0, 1.5, 1.5, 1.0, 0.0, -1.0, -1.0, -2.0, -3.0, 0.5]


@functools.cache
def kernels() -> DrawRows:
    """The kernels' drawing, on a pool that lasts as long as the tests."""
    from ponant.engine.kernels.sampling import drawing  # noqa: PLC0415

    return drawing(library().pn_pool_create(2))


@pytest.fixture(params=["numpy", *(level.name for level in InstructionSet)])
def drawing(request: pytest.FixtureRequest) -> Iterator[DrawRows]:
    if request.param == "numpy":
        yield draw_rows
        return
    if not available():
        pytest.skip("the kernels are not compiled")
    library().pn_set_isa(InstructionSet[request.param])
    yield kernels()
    library().pn_set_isa(max(InstructionSet))


def row(values: Any) -> np.ndarray:
    return np.array([values], np.float32)


def mask_of(allowed: set[int], words: int = 1) -> Mask:
    mask = np.zeros(words, np.uint32)
    for token in allowed:
        mask[token // 32] |= np.uint32(1 << token % 32)
    return mask


def sampler(**fields: Any) -> Sampler:
    request: dict[str, Any] = {"id": "req", "prompt": [3], "max_tokens": 1}
    names = {"stop_tokens", "min_tokens", "prompt"}
    request |= {name: fields.pop(name) for name in names & fields.keys()}
    return Sampler(Request(**request, sampling=Sampling(**fields)))


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
@pytest.mark.parametrize("written", [0, 3])
def test_draws_follow_the_distribution(
    drawing: DrawRows, fields: dict[str, Any], written: int
) -> None:
    """With a history that is all written, or all drafts ahead of what is drawn."""
    history = [0, 0, 5]
    state = sampler(seed=11, **fields)
    for token in history[:written]:
        state.note(token)
    draw = state.draw(history[written:])
    logits = np.tile(row(LOGITS), (DRAWS, 1))
    uniforms = np.random.default_rng(11).random(DRAWS)
    draws = [_at(draw, uniform) for uniform in uniforms]
    counts = Counter(token.id for token in drawing(draws, logits))
    wanted = expected(LOGITS, Sampling(**fields), history)
    for token, p in enumerate(wanted):
        spread = 5 * np.sqrt(p * (1 - p) / DRAWS)
        assert counts[token] / DRAWS == pytest.approx(p, abs=spread), token


def _at(draw: Draw, uniform: float) -> Draw:
    fields = {name: getattr(draw, name) for name in Draw.__slots__}
    return Draw(**fields | {"uniform": uniform})


def test_a_wide_nucleus_is_not_cut(drawing: DrawRows) -> None:
    logits = np.zeros((1, 5000), np.float32)
    draws = [Draw(Sampling(top_p=0.999), uniform=at / 500) for at in range(500)]
    drawn = {drawing([draw], logits)[0].id for draw in draws}
    assert max(drawn) > 4000
    assert len(drawn) == 500


@pytest.mark.parametrize("kind", [{}, {"top_k": 6}, {"top_p": 0.9}, {"min_p": 0.01}])
def test_a_larger_uniform_number_draws_no_lower_id(drawing: DrawRows, kind: dict[str, Any]) -> None:
    draws = [Draw(Sampling(**kind), uniform=at / 200) for at in range(200)]
    drawn = [token.id for token in drawing(draws, np.tile(row(LOGITS), (200, 1)))]
    assert drawn == sorted(drawn)
    assert len(set(drawn)) > 4


@given(st.lists(st.floats(-20, 20, width=32), min_size=3, max_size=40), st.integers(0, 2**62))
def test_a_seed_repeats_the_draws(logits: list[float], seed: int) -> None:
    first, second = sampler(seed=seed, prompt=[0]), sampler(seed=seed, prompt=[0])
    for _ in range(5):
        one, other = (draw_rows([each.draw()], row(logits))[0].id for each in (first, second))
        assert one == other
        first.note(one)
        second.note(one)


def test_a_draft_ahead_draws_what_a_written_token_does() -> None:
    ahead, written = sampler(seed=1, frequency_penalty=0.5), sampler(seed=1, frequency_penalty=0.5)
    written.note(4)
    written.note(4)
    assert draw_rows([ahead.draw([4, 4])], row(LOGITS)) == draw_rows([written.draw()], row(LOGITS))
    assert ahead.draw([4, 4]).counts.tolist() == written.draw().counts.tolist()


def test_greedy_ties_go_to_the_lowest_id(drawing: DrawRows) -> None:
    logits = np.zeros(600, np.float32)
    logits[[17, 300, 599]] = 3
    assert drawing([Draw(Sampling(temperature=0))], row(logits))[0] == Token(17)


def test_the_logits_are_left_as_they_are(drawing: DrawRows) -> None:
    logits = row(LOGITS)
    draw = sampler(logit_bias={1: 5.0}, presence_penalty=1.0, temperature=0.0).draw([1, 2])
    drawing([draw], logits)
    assert logits[0].tolist() == LOGITS


def test_a_grammar_rules_out(drawing: DrawRows) -> None:
    logits, mask = np.zeros((1, 40), np.float32), mask_of({6, 33}, words=2)
    draws = [Draw(Sampling(), uniform=at / 60, mask=mask) for at in range(60)]
    assert {drawing([draw], logits)[0].id for draw in draws} == {6, 33}
    short = Draw(Sampling(), uniform=0.99, mask=mask_of({6}))
    assert drawing([short], logits)[0].id == 6
    assert drawing([Draw(Sampling(), mask=mask_of(set()))], logits)[0].id == NO_TOKEN


def test_stop_tokens_wait_for_the_least_number_of_tokens(drawing: DrawRows) -> None:
    state = sampler(temperature=0.0, stop_tokens=(0,), min_tokens=2)
    ahead: list[int] = []
    for _ in range(3):
        ahead.append(drawing([state.draw(ahead)], row(LOGITS))[0].id)
    assert ahead == [1, 1, 0]


def test_a_grammar_at_its_end_beats_the_least_number_of_tokens(drawing: DrawRows) -> None:
    draw = sampler(temperature=0.0, stop_tokens=(0,), min_tokens=2).draw(mask=mask_of({0}))
    assert drawing([draw], row(LOGITS))[0].id == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [3, 620])
def test_scores_that_are_no_numbers_are_told(drawing: DrawRows, bad: float, place: int) -> None:
    logits = np.zeros((1, 621), np.float32)
    logits[0, place] = bad
    for draw in (
        Draw(Sampling(temperature=0)),
        Draw(Sampling()),
        Draw(Sampling(), given=1, logprobs=0),
    ):
        assert drawing([draw], logits)[0].id == NOT_A_NUMBER


def test_scores_are_natural_logarithms_of_softmax(drawing: DrawRows) -> None:
    p = np.exp(LOGITS) / np.exp(LOGITS).sum()
    draws = [Draw(Sampling(), given=4, logprobs=count) for count in (3, 0)]
    token, alone = drawing(draws, np.tile(row(LOGITS), (2, 1)))
    assert token.id == alone.id == 4
    assert token.logprob == pytest.approx(np.log(p[4]), abs=1e-5)
    assert [other for other, _ in token.top] == [0, 1, 2]
    assert [value for _, value in token.top] == pytest.approx(np.log(np.sort(p)[:-4:-1]), abs=1e-5)
    assert alone.top == ()


any_sampling = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 4.0]),
    top_k=st.sampled_from([0, 0, 1, 3, 40, 1000]),
    top_p=st.sampled_from([1.0, 1.0, 0.05, 0.5, 0.95, 0.999]),
    min_p=st.sampled_from([0.0, 0.0, 0.1]),
    repetition_penalty=st.sampled_from([1.0, 1.3]),
    presence_penalty=st.sampled_from([0.0, 0.4]),
    frequency_penalty=st.sampled_from([0.0, 0.7]),
)


@settings(max_examples=150, deadline=None)
@given(any_sampling, st.integers(0, 2**32), st.integers(1, 2500), st.booleans(), st.data())
def test_the_kernels_draw_what_numpy_draws(
    sampling: Sampling, seed: int, size: int, masked: bool, data: st.DataObject
) -> None:
    if not available():
        pytest.skip("the kernels are not compiled")
    random = np.random.default_rng(seed)
    rows = data.draw(st.integers(1, 5))
    logits = (random.normal(0, 3, (rows, size))).astype(np.float32).round(2)  # with ties
    seen = random.choice(size, min(size, 7), replace=False).astype(np.int32)
    draws = [
        Draw(
            sampling,
            uniform=float(random.random()),
            seen=seen,
            counts=random.integers(0, 3, len(seen)).astype(np.float32),
            biased=seen[:2],
            bias=np.full(len(seen[:2]), 1.5, np.float32),
            forbidden=seen[-1:],
            mask=random.integers(0, 2**32, -(-size // 32), dtype=np.uint32) if masked else None,
            logprobs=data.draw(st.sampled_from([None, 0, min(3, size)])),
        )
        for _ in range(rows)
    ]
    for plain, fast in zip(draw_rows(draws, logits), kernels()(draws, logits), strict=True):
        assert fast.id == plain.id
        assert [other for other, _ in fast.top] == [other for other, _ in plain.top]
        if plain.logprob is not None:
            assert fast.logprob == pytest.approx(plain.logprob, abs=1e-4)
