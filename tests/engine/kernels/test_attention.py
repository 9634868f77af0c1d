"""Attention over pages: every shape of head, window and context, seen through one layer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.engine.kernels.decoder import WeightForm
from tests.engine.kernels.batches import Piece, batch_of, pages_for, whole
from tests.engine.kernels.describe import Kind, describe, in_bfloat16, random_tokens
from tests.engine.kernels.loading import loaded
from tests.engine.kernels.reference import hidden_states, stored

_EXACT = 1e-4
"""The formulas' float64 against float32: see test_decoder.py."""
_BLOCK = 128
"""Positions whose scores share a softmax before they are merged (cpu/attention.hpp)."""


@pytest.mark.parametrize("window", [None, 130, 300])
@pytest.mark.parametrize("form", ["fp32", "bf16"])
def test_long_contexts_equal_the_formulas(window: int | None, form: WeightForm) -> None:
    """Past several blocks of positions, as a prompt and as its last token alone."""
    generator = np.random.default_rng(10)
    spec = describe(Kind(windows=(window,)), generator)
    tokens = random_tokens(spec, generator, 700)
    expected = hidden_states(spec, tokens, in_bfloat16 if form == "bf16" else stored)
    with loaded(spec, form, threads=3) as decoder:
        hidden = decoder.forward(whole(tokens))
        again = batch_of(Piece(tokens[-1:], 699, range(1, 1 + pages_for(700)), [0]))
        assert np.array_equal(decoder.forward(again)[0], hidden[-1])
    error = np.abs(hidden - expected)
    assert error.max() < (_EXACT if form == "fp32" else 0.5)
    assert error.mean() < (_EXACT if form == "fp32" else 0.02)


@settings(max_examples=40, deadline=None)
@given(
    group=st.integers(1, 5),
    key_value_heads=st.integers(1, 3),
    head_size=st.sampled_from([2, 6, 16, 34, 64, 72, 80]),
    window=st.none() | st.integers(1, 300),
    length=st.integers(1, 300),
    seed=st.integers(0, 1000),
)
def test_every_shape_equals_the_formulas(
    group: int, key_value_heads: int, head_size: int, window: int | None, length: int, seed: int
) -> None:
    kind = Kind(
        heads=group * key_value_heads,
        key_value_heads=key_value_heads,
        head_size=head_size,
        rotated=head_size,
        windows=(window,),
    )
    generator = np.random.default_rng(seed)
    spec = describe(kind, generator)
    tokens = random_tokens(spec, generator, length)
    with loaded(spec) as decoder:
        hidden = decoder.forward(whole(tokens))
    assert np.abs(hidden - hidden_states(spec, tokens)).max() < _EXACT


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("form", ["fp32", "bf16"])
def test_streams_decode_together_as_alone(threads: int, form: WeightForm) -> None:
    """Lengths around the borders of pages and blocks, each sequence with pages of its own."""
    generator = np.random.default_rng(20)
    spec = describe(Kind(windows=(None, 40)), generator)
    lengths = [1, 2, 15, 16, 17, _BLOCK - 1, _BLOCK, _BLOCK + 1, 2 * _BLOCK, 300]
    prompts = [random_tokens(spec, generator, length) for length in lengths]
    first = np.cumsum([1, *map(pages_for, lengths)])
    with loaded(spec, form, threads, pages=int(first[-1])) as decoder:
        alone = [
            decoder.forward(whole(prompt, start))[-1]
            for prompt, start in zip(prompts, first, strict=False)
        ]
        pieces = [
            Piece(prompt[-1:], len(prompt) - 1, range(start, start + pages_for(len(prompt))), [0])
            for prompt, start in zip(prompts, first, strict=False)
        ]
        together = decoder.forward(batch_of(*pieces))
    assert np.array_equal(together.view(np.uint32), np.stack(alone).view(np.uint32))


def test_pages_may_lie_in_any_order() -> None:
    generator = np.random.default_rng(21)
    spec = describe(Kind(), generator)
    tokens = random_tokens(spec, generator, 200)
    with loaded(spec) as decoder:
        expected = decoder.forward(whole(tokens))
        pages = generator.permutation(np.arange(1, 80))[: pages_for(200)]
        shuffled = decoder.forward(batch_of(Piece(tokens, 0, list(pages), range(200))))
    assert np.array_equal(shuffled, expected)


@pytest.mark.parametrize("form", ["fp32", "bf16"])
def test_what_was_left_in_a_page_never_counts(form: WeightForm) -> None:
    generator = np.random.default_rng(22)
    spec = describe(Kind(windows=(None, 7)), generator)
    tokens = random_tokens(spec, generator, 20)
    with loaded(spec, form) as decoder:
        expected = decoder.forward(whole(tokens))
        for page in (1, 2):
            decoder.write_page(page, b"\xff" * len(decoder.read_page(page)))  # not numbers
        first = decoder.forward(batch_of(Piece(tokens[:18], 0, [1, 2], range(18))))
        rest = decoder.forward(batch_of(Piece(tokens[18:], 18, [1, 2], range(2))))
    assert np.array_equal(np.concatenate((first, rest)), expected)


def test_a_draft_that_was_refused_leaves_no_trace() -> None:
    """Its slots are written again by the tokens that came instead."""
    generator = np.random.default_rng(23)
    spec = describe(Kind(), generator)
    tokens = random_tokens(spec, generator, 40)
    wrong = (tokens[30:36] + 1) % spec.vocabulary_size
    pages = [1, 2, 3]
    with loaded(spec, "bf16") as decoder:
        expected = decoder.forward(whole(tokens))
        decoder.forward(batch_of(Piece(tokens[:30], 0, pages, [29])))
        decoder.forward(batch_of(Piece(wrong, 30, pages, range(6))))
        rest = decoder.forward(batch_of(Piece(tokens[30:], 30, pages, range(10))))
    assert np.array_equal(rest, expected[30:])
