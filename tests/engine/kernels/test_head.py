"""The likeliest token, found by half of the head, is that of all scores."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.engine.decoder import NOT_A_NUMBER, best_of
from ponant.engine.kernels.decoder import KernelDecoder
from ponant.engine.kernels.library import Form, InstructionSet, library
from ponant.engine.kernels.packing import Pool, pack
from tests.engine.kernels.describe import KINDS, Floats, describe
from tests.engine.kernels.stored import StoredMatrix

_WIDTH = 64


def _decoder(vocabulary: int, format_name: str, seed: int = 0) -> KernelDecoder:
    kind = replace(KINDS["llama"], width=_WIDTH, vocabulary_size=vocabulary)
    spec = describe(kind, np.random.default_rng(seed))
    spec = replace(spec, head=StoredMatrix(format_name, vocabulary, _WIDTH, seed))
    return KernelDecoder(spec, form="packed", context_length=64, pages=4, threads=2)


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


def test_equal_scores_go_to_the_lowest_token() -> None:
    decoder = _decoder(2000, "Q8_0")
    nothing = np.zeros((1, _WIDTH), np.float32)
    assert decoder.best(nothing).tolist() == [0]
    decoder.close()


def test_a_score_that_is_not_a_number_is_told() -> None:
    vocabulary = 1000
    kind = replace(KINDS["llama"], width=_WIDTH, vocabulary_size=vocabulary)
    head = StoredMatrix("Q8_0", vocabulary, _WIDTH)
    head.raw().reshape(vocabulary, -1)[700, :2] = (0, 0x7E)  # a scale that is no number
    spec = replace(describe(kind, np.random.default_rng(0)), head=head)
    decoder = KernelDecoder(spec, form="packed", context_length=64, pages=4, threads=2)
    assert decoder.best(_states(1, 1)).tolist() == [NOT_A_NUMBER]
    decoder.close()


def test_planes_hold_the_same_values_and_give_the_same_bits(pool: Pool) -> None:
    matrix = StoredMatrix("Q8_0", 70, 256)
    whole, planes = pack(matrix, Form.I8, pool), pack(matrix, Form.I8P, pool)
    every = np.arange(70, dtype=np.int32)
    assert np.array_equal(planes.rows(every), matrix.values())
    for rows in (1, 5, 40):
        x = np.random.default_rng(rows).normal(0, 1, (rows, 256)).astype(np.float32)
        assert np.array_equal(planes.multiply(pool, x), whole.multiply(pool, x))
