"""Passages cover the text, fit the embedder, and stand still where nothing was edited."""

import random

from hypothesis import given
from hypothesis import strategies as st

from ponant.live.reading.chunking import LONGEST, chunk, estimate

_WORDS = ["the", "desk", "opens", "at", "half", "past", "eight", "and", "closes", "late", "in"]


def _paragraphs(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [
        " ".join(rng.choices(_WORDS, k=rng.randint(5, 90))) + f" number {i}." for i in range(count)
    ]


@given(st.text(st.sampled_from("ab#-=|`. \n好。é9"), max_size=3000), st.sampled_from([32, 256]))
def test_passages_are_slices_that_cover_every_sign(text: str, max_tokens: int) -> None:
    chunks = chunk(text, max_tokens=max_tokens)
    position = 0
    for piece in chunks:
        assert piece.text == text[piece.start : piece.end]
        assert not text[position : piece.start].strip()
        assert len(piece.text) <= LONGEST
        position = piece.end
    assert not text[position:].strip()


@given(st.integers(0, 99), st.integers(0, 1000))
def test_an_edited_paragraph_moves_only_its_neighbours(edited: int, seed: int) -> None:
    paragraphs = _paragraphs(100, seed)
    before = {piece.text for piece in chunk("\n\n".join(paragraphs), max_tokens=256)}
    paragraphs[edited] = paragraphs[edited].replace("number", "counter")
    after = {piece.text for piece in chunk("\n\n".join(paragraphs), max_tokens=256)}
    assert 1 <= len(after - before) <= 2


def test_a_heading_stands_with_what_it_introduces() -> None:
    text = "# Office\n\n## Hours\n\nFrom nine to five.\n\n## Keys\n\nAt the desk.\n"
    hours, keys = chunk(text, max_tokens=256)
    assert hours.text == "# Office\n\n## Hours\n\nFrom nine to five."
    assert hours.heading == "Office > Hours"
    assert keys.text == "## Keys\n\nAt the desk."
    assert keys.heading == "Office > Keys"


def test_a_fence_hides_headings_and_blank_lines() -> None:
    text = "Before.\n\n```sh\n# no heading\n\nrun\n```\n\nAfter."
    assert {piece.heading for piece in chunk(text, max_tokens=256)} == {""}


def test_an_endless_word_is_cut_and_loses_nothing() -> None:
    text = "x" * 5000
    chunks = chunk(text, max_tokens=256)
    assert "".join(piece.text for piece in chunks) == text
    assert all(estimate(piece.text) <= 256 for piece in chunks)


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    text = " ".join(f"Room {i} has a window and a door." for i in range(100))
    chunks = chunk(text, max_tokens=256)
    assert len(chunks) > 3
    assert all(piece.text.endswith(".") for piece in chunks)


def test_a_long_paragraph_without_sentences_is_cut_into_few_pieces() -> None:
    text = " ".join(f"row {i} cell" for i in range(1000))
    chunks = chunk(text, max_tokens=256)
    assert len(chunks) < 60
