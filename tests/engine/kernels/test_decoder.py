"""The compiled decoder against formulas in float64, and against itself in every cut of its work."""

import resource
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ponant.engine.errors import ModelTooLarge
from ponant.engine.kernels.decoder import KernelDecoder, WeightForm, measure
from ponant.engine.kernels.library import InstructionSet, library
from ponant.engine.models.spec import DecoderSpec
from tests.engine.kernels.batches import Piece, batch_of, pages_for, whole
from tests.engine.kernels.describe import KINDS, describe, in_bfloat16, random_tokens
from tests.engine.kernels.loading import loaded
from tests.engine.kernels.reference import hidden_states

_TOKENS = 45
_EXACT = 1e-4
"""Hidden states here are at most 6, and a float32 has 24 bits: one rounding moves such a value by
4e-7. A row's way through the layers takes some hundred roundings that partly cancel."""


@pytest.fixture(params=InstructionSet, ids=lambda instructions: instructions.name)
def instructions(request: pytest.FixtureRequest) -> InstructionSet:
    """Each set in turn; where the processor lacks one, the best that it has."""
    wanted: InstructionSet = request.param
    library().pn_set_isa(wanted)
    return wanted


@pytest.mark.parametrize("name", KINDS)
def test_float32_equals_the_formulas(name: str, instructions: InstructionSet) -> None:
    generator = np.random.default_rng(len(name))
    spec = describe(KINDS[name], generator)
    tokens = random_tokens(spec, generator, _TOKENS)
    expected = hidden_states(spec, tokens)
    with loaded(spec) as decoder:
        hidden = decoder.forward(whole(tokens))
        logits = decoder.logits(hidden)
    assert np.abs(hidden - expected).max() < _EXACT
    assert np.abs(logits - expected @ spec.head.values().T.astype(np.float64)).max() < _EXACT


@pytest.mark.parametrize("name", KINDS)
def test_decoding_token_by_token_equals_the_formulas(name: str) -> None:
    generator = np.random.default_rng(len(name) + 100)
    spec = describe(KINDS[name], generator)
    tokens = random_tokens(spec, generator, _TOKENS)
    expected = hidden_states(spec, tokens)
    pages = range(3, 3 + pages_for(_TOKENS))
    with loaded(spec) as decoder:
        for position, token in enumerate(tokens):
            hidden = decoder.forward(batch_of(Piece([token], position, pages, [0])))
            assert np.abs(hidden[0] - expected[position]).max() < _EXACT


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"mixtral"}))
def test_bfloat16_stays_near_its_own_weights(name: str, instructions: InstructionSet) -> None:
    """Activations and cache are rounded to 8 bits: a part in 256, and a few such roundings."""
    generator = np.random.default_rng(7)
    spec = describe(KINDS[name], generator)
    tokens = random_tokens(spec, generator, _TOKENS)
    expected = hidden_states(spec, tokens, in_bfloat16)
    with loaded(spec, "bf16") as decoder:
        error = np.abs(decoder.forward(whole(tokens)) - expected)
    assert error.mean() < 0.02 * np.abs(expected).mean()
    assert error.max() < 0.5


def test_a_bfloat16_mixture_is_near_except_where_the_choice_is_close() -> None:
    generator = np.random.default_rng(8)
    spec = describe(KINDS["mixtral"], generator)
    tokens = random_tokens(spec, generator, _TOKENS)
    expected = hidden_states(spec, tokens, in_bfloat16)
    with loaded(spec, "bf16") as decoder:
        error = np.abs(decoder.forward(whole(tokens)) - expected)
    assert np.median(error) < 0.02 * np.abs(expected).mean()


@pytest.mark.parametrize("stored_as", ["Q8_0", "Q4_0", "Q5_0"])
def test_packed_blocks_stay_near_their_exact_values(stored_as: str) -> None:
    """Activations are rounded to 8 bits a block of 32: a part in 254 of the block's largest."""
    generator = np.random.default_rng(9)
    spec = describe(replace(KINDS["gemma"], format=stored_as), generator)
    tokens = random_tokens(spec, generator, _TOKENS)
    expected = hidden_states(spec, tokens)
    with loaded(spec, "packed") as decoder:
        error = np.abs(decoder.forward(whole(tokens)) - expected)
    assert error.mean() < 0.03 * np.abs(expected).mean()


_SAME: dict[str, tuple[DecoderSpec, NDArray[np.int32]]] = {}


def _same_model(name: str) -> tuple[DecoderSpec, NDArray[np.int32]]:
    if name not in _SAME:
        generator = np.random.default_rng(11)
        stored_as = "Q8_0" if name == "gemma" else "F32"
        spec = describe(replace(KINDS[name], format=stored_as), generator)
        _SAME[name] = spec, random_tokens(spec, generator, 330)
    return _SAME[name]


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    name=st.sampled_from(["window", "gemma", "mixtral", "one key head"]),
    form=st.sampled_from(["packed", "bf16", "fp32", "int8"]),
)
def test_a_row_has_the_same_bits_in_every_cut(
    data: st.DataObject, name: str, form: WeightForm
) -> None:
    """Alone or beside others, in chunks of any size, on any number of threads."""
    spec, tokens = _same_model(name)
    length = data.draw(st.integers(1, len(tokens)))
    cuts = data.draw(st.lists(st.integers(1, length), max_size=5, unique=True).map(sorted))
    others = data.draw(st.lists(st.integers(1, 20), max_size=3))
    with loaded(spec, form, threads=1) as decoder:
        expected = decoder.forward(whole(tokens[:length]))
    parts = []
    bounds = [0, *(cut for cut in cuts if cut < length), length]
    pages = range(1, 1 + pages_for(length))
    with loaded(spec, form, threads=data.draw(st.integers(1, 3))) as decoder:
        for start, stop in pairwise(bounds):
            piece = Piece(tokens[start:stop], start, pages, range(stop - start))
            beside = [
                Piece(tokens[:other], 0, range(40 + 3 * i, 42 + 3 * i), [])
                for i, other in enumerate(others)
            ]
            parts.append(decoder.forward(batch_of(*beside, piece)))
    assert np.array_equal(np.concatenate(parts).view(np.uint32), expected.view(np.uint32))


def test_only_wanted_rows_come_back_and_they_are_the_same() -> None:
    spec, tokens = _same_model("mixtral")
    with loaded(spec) as decoder:
        everything = decoder.forward(whole(tokens))
        pages = range(1, 1 + pages_for(len(tokens)))
        some = decoder.forward(batch_of(Piece(tokens, 0, pages, [0, 7, 200, 329])))
        none = decoder.forward(batch_of(Piece(tokens, 0, pages, [])))
        last = decoder.forward(batch_of(Piece(tokens[-1:], 329, pages, [0])))
    assert np.array_equal(some, everything[[0, 7, 200, 329]])
    assert none.shape == (0, spec.width)
    assert np.array_equal(last[0], everything[329])


@pytest.mark.parametrize("form", ["fp32", "bf16"])
def test_pages_can_be_taken_out_and_put_back_elsewhere(form: WeightForm) -> None:
    spec, tokens = _same_model("window")
    step = Piece(tokens[40:41], 40, [1, 2, 3], [0])
    with loaded(spec, form) as decoder:
        decoder.forward(whole(tokens[:40]))
        saved = [decoder.read_page(page) for page in (1, 2, 3)]
        expected = decoder.forward(batch_of(step))
        for page, data in zip((9, 8, 7), saved, strict=True):
            decoder.write_page(page, data)
        moved = decoder.forward(batch_of(replace(step, pages=[9, 8, 7])))
        with pytest.raises(ValueError, match="bytes"):
            decoder.write_page(1, saved[0][:-1])
    assert np.array_equal(moved, expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_a_number_is_said(bad: float, instructions: InstructionSet) -> None:
    generator = np.random.default_rng(12)
    spec = describe(KINDS["llama"], generator)
    spec.layers[0].attention_norm[3] = bad
    with loaded(spec) as decoder:
        with pytest.raises(FloatingPointError):
            decoder.forward(whole([1, 2, 3]))


def test_a_batch_stays_within_vocabulary_and_cache() -> None:
    spec, _ = _same_model("window")
    with loaded(spec, pages=4) as decoder:
        for tokens, pages in (
            ([spec.vocabulary_size], [1]),
            ([-1], [1]),
            ([1], [5]),
            ([1], [-1]),
            ([1] * 17, [1]),
            ([], []),
        ):
            with pytest.raises(ValueError, match="batch"):
                decoder.forward(batch_of(Piece(tokens, 0, pages, [0])))


def test_a_tied_head_stands_in_memory_once() -> None:
    tied = describe(replace(KINDS["llama"], tied=True), np.random.default_rng(1))
    own = describe(KINDS["llama"], np.random.default_rng(1))
    with loaded(tied, pages=1) as one, loaded(own, pages=1) as two:
        head = measure(own, "fp32") - measure(tied, "fp32")
        assert head > 0
        assert two.resident_bytes - one.resident_bytes == head


def test_progress_counts_every_matrix() -> None:
    spec = describe(KINDS["mixtral"], np.random.default_rng(1))
    seen: list[tuple[int, int]] = []
    KernelDecoder(
        spec,
        form="bf16",
        context_length=64,
        pages=1,
        threads=1,
        progress=lambda done, of: seen.append((done, of)),
    ).close()
    matrices = 2 + 2 * (4 + 1 + 3 * 5)
    assert seen == [(done, matrices) for done in range(1, matrices + 1)]


def test_a_cache_beyond_all_memory_is_refused_in_words() -> None:
    spec, _ = _same_model("window")
    with pytest.raises(ModelTooLarge, match="pages"):
        KernelDecoder(spec, form="fp32", context_length=64, pages=1 << 50, threads=1)


def test_weights_beyond_all_memory_are_refused_in_words() -> None:
    """A limit on the address space stands for a machine that has no more."""
    spec = describe(replace(KINDS["llama"], vocabulary_size=1 << 15), np.random.default_rng(1))
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20), limits[1]))
    try:
        with pytest.raises(ModelTooLarge, match="memory"):
            KernelDecoder(spec, form="fp32", context_length=64, pages=1, threads=1)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
