"""The likeliest token, found by half of the head, is that of all scores."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ponant.engine.decoder import NOT_A_NUMBER, best_of
from ponant.engine.kernels.decoder import KernelDecoder
from ponant.engine.kernels.library import Form, InstructionSet, library
from ponant.engine.kernels.packing import Pool, pack
from tests.engine.kernels.describe import KINDS, Floats, describe
from tests.engine.kernels.stored import StoredMatrix

_WIDTH = 64
_SCALE = 0.01


def _decoder(vocabulary: int, format_name: str, seed: int = 0) -> KernelDecoder:
    return _with_head(StoredMatrix(format_name, vocabulary, _WIDTH, seed))


def _with_head(head: StoredMatrix) -> KernelDecoder:
    kind = replace(KINDS["llama"], width=head.inputs, vocabulary_size=head.outputs)
    spec = replace(describe(kind, np.random.default_rng(0)), head=head)
    return KernelDecoder(spec, form="packed", context_length=64, pages=4, threads=2)


def _head_of(codes: NDArray[np.int16], scales: Floats) -> StoredMatrix:
    """A Q8_0 head with codes of shape (outputs, inputs) and scales of (outputs, blocks)."""
    outputs, inputs = codes.shape
    head = StoredMatrix("Q8_0", outputs, inputs)
    blocks = head.raw().reshape(outputs, inputs // 32, 34)
    blocks[..., :2] = scales.astype(np.float16)[..., None].view(np.uint8)
    blocks[..., 2:] = codes.astype(np.int8).view(np.uint8).reshape(outputs, -1, 32)
    return head


def _states(rows: int, seed: int) -> Floats:
    return np.random.default_rng(seed).normal(0, 3, (rows, _WIDTH)).astype(np.float32)


@pytest.mark.parametrize("instructions", InstructionSet)
@pytest.mark.parametrize("format_name", ["Q8_0", "Q5_0", "BF16"])
@pytest.mark.parametrize("rows", [1, 3, 9])
def test_the_best_is_the_largest_score(
    instructions: InstructionSet, format_name: str, rows: int
) -> None:
    library().pn_set_isa(instructions)
    decoder = _decoder(1003, format_name)
    hidden = _states(rows, 5)
    assert np.array_equal(decoder.best(hidden), best_of(decoder.logits(hidden)))
    decoder.close()


@settings(max_examples=40, deadline=None)
@given(vocabulary=st.integers(1, 6000), seed=st.integers(0, 10_000))
def test_nothing_is_overlooked(vocabulary: int, seed: int) -> None:
    decoder = _decoder(vocabulary, "Q8_0", seed)
    hidden = _states(2, seed)
    # One state lies along some token's own row, as a sure prediction does.
    hidden[0] = StoredMatrix("Q8_0", vocabulary, _WIDTH, seed).values()[vocabulary // 2] * 5
    assert np.array_equal(decoder.best(hidden), best_of(decoder.logits(hidden)))
    decoder.close()


def test_lower_bits_that_follow_the_state_are_not_overlooked() -> None:
    """Two tokens have the same upper bits; the lower bits of one lie along the state."""
    vocabulary, width, twin, best = 4096, 256, 17, 3000
    random = np.random.default_rng(0)
    state = random.normal(0, 3, width).astype(np.float32)
    codes = (random.integers(-8, 8, (vocabulary, width)) * 16 + 8).astype(np.int16)
    upper = np.clip(np.round(state / np.abs(state).max() * 6), -8, 7).astype(np.int16) * 16
    codes[twin] = upper + np.where(state > 0, 13, 2)
    codes[best] = upper + np.where(state > 0, 15, 0)
    decoder = _with_head(_head_of(codes, np.full((vocabulary, width // 32), _SCALE, np.float32)))
    assert decoder.best(state[None]).tolist() == [best]
    decoder.close()


class _Adversary:
    """Heads and states made to mislead whoever looks at half of the bits."""

    def __init__(self, width: int, vocabulary: int, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.width, self.vocabulary = width, vocabulary
        self.state = self.random.normal(0, 3, width).astype(np.float32)
        self.codes = self.random.integers(-128, 128, (vocabulary, width)).astype(np.int16)
        self.scales = self.random.normal(0, _SCALE, (vocabulary, width // 32)).astype(np.float32)

    def outlier_in_the_state(self) -> None:
        block = self.random.integers(self.width // 32) * 32
        self.state[block : block + 32] *= 1000

    def outlier_in_the_head(self) -> None:
        self.scales[self.random.integers(self.vocabulary), self.random.integers(2)] = 50

    def equal_scores(self) -> None:
        kept = self.random.integers(0, 3, self.vocabulary)
        self.codes, self.scales = self.codes[kept], self.scales[kept]

    def lower_bits_along_the_state(self) -> None:
        along = np.where(self.state > 0, 15, 0)
        upper = self.codes // 16 * 16
        upper[:] = np.clip(np.round(self.state / np.abs(self.state).max() * 6), -8, 7) * 16
        self.codes = upper + self.random.integers(0, 16, upper.shape).astype(np.int16)
        self.codes[self.random.integers(self.vocabulary)] = upper[0] + along
        self.scales[:] = _SCALE

    def one_large_input(self) -> None:
        self.state[:] = 1e-3
        self.state[self.random.integers(self.width)] = 1e4

    def sure_choice(self) -> None:
        token = self.random.integers(self.vocabulary)
        self.codes[token] = np.where(self.state > 0, 127, -128)
        self.scales[token] = 4 * _SCALE


@settings(max_examples=60, deadline=None)
@given(
    width=st.sampled_from([64, 640]),
    vocabulary=st.integers(1, 3000),
    tricks=st.lists(
        st.sampled_from([name for name in vars(_Adversary) if not name.startswith("_")]),
        unique=True,
        max_size=3,
    ),
    seed=st.integers(0, 2**32),
)
def test_no_head_misleads_the_screen(
    width: int, vocabulary: int, tricks: list[str], seed: int
) -> None:
    made = _Adversary(width, vocabulary, seed)
    for trick in tricks:
        getattr(made, trick)()
    decoder = _with_head(_head_of(made.codes, made.scales))
    hidden = np.stack([made.state, made.random.normal(0, 3, width).astype(np.float32)])
    assert np.array_equal(decoder.best(hidden), best_of(decoder.logits(hidden)))
    decoder.close()


def test_equal_scores_go_to_the_lowest_token() -> None:
    decoder = _decoder(2000, "Q8_0")
    nothing = np.zeros((1, _WIDTH), np.float32)
    assert decoder.best(nothing).tolist() == [0]
    decoder.close()


def test_a_score_that_is_not_a_number_is_told() -> None:
    made = _Adversary(_WIDTH, 4000, 0)
    made.sure_choice()  # so that nothing else is looked at
    made.scales[700:1700:100] = np.nan
    decoder = _with_head(_head_of(made.codes, made.scales))
    assert decoder.best(made.state[None]).tolist() == [NOT_A_NUMBER]
    decoder.close()


def test_planes_hold_the_same_values_and_give_the_same_bits(pool: Pool) -> None:
    matrix = StoredMatrix("Q8_0", 70, 256)
    whole, planes = pack(matrix, Form.I8, pool), pack(matrix, Form.I8P, pool)
    every = np.arange(70, dtype=np.int32)
    assert np.array_equal(planes.rows(every), matrix.values())
    for rows in (1, 5, 40):
        x = np.random.default_rng(rows).normal(0, 1, (rows, 256)).astype(np.float32)
        assert np.array_equal(planes.multiply(pool, x), whole.multiply(pool, x))
