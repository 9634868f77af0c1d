"""Passages cover the text, fit the embedder, and stand still where nothing was edited."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.live.reading.chunking import LONGEST, Chunk, chunk, estimate, most_tokens, split

_WORDS = ["the", "desk", "opens", "at", "half", "past", "eight", "and", "closes", "late", "in"]


def _paragraphs(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [
        " ".join(rng.choices(_WORDS, k=rng.randint(5, 90))) + f" number {i}." for i in range(count)
    ]


@settings(deadline=None)
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


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(0, 1000))
def test_an_edited_paragraph_moves_only_its_neighbours(edited: int, seed: int) -> None:
    paragraphs = _paragraphs(100, seed)
    before = {piece.text for piece in chunk("\n\n".join(paragraphs), max_tokens=256)}
    paragraphs[edited] = paragraphs[edited].replace("number", "counter")
    after = {piece.text for piece in chunk("\n\n".join(paragraphs), max_tokens=256)}
    assert 1 <= len(after - before) <= 2


def test_a_fact_of_one_sentence_is_a_passage_of_its_own() -> None:
    """Beside what follows it, its vector would say what the longer one says."""
    fact = "Swimming lessons for beginners were moved into an outdoor pool."
    around = [f"The {place} paragraph says what nobody asked for. " * 3 for place in "ab"]
    text = "\n\n".join(part.strip() for part in (around[0], fact, around[1]))
    assert fact in [piece.text for piece in chunk(text, max_tokens=256)]


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


def test_a_long_table_repeats_its_head() -> None:
    rows = "\n".join(f"| Person {i} | Room {i * 7} |" for i in range(300))
    text = f"# Rooms\n\n| name | room |\n| --- | --- |\n{rows}\n\nNobody else.\n"
    chunks = chunk(text, max_tokens=256)
    assert len(chunks) > 10
    assert chunks[0].heading == "Rooms"
    assert {piece.heading for piece in chunks[1:-1]} == {"Rooms > name | room"}
    assert all(piece.text.splitlines()[-1].endswith("|") for piece in chunks[:-1])
    assert all(estimate(piece.input) <= 256 for piece in chunks)


@settings(deadline=None)
@given(st.integers(1, 298))
def test_an_edited_row_moves_only_its_neighbours(edited: int) -> None:
    rows = [f"| Person {i} | Room {i * 7} |" for i in range(300)]

    def inputs() -> set[str]:
        text = "\n".join(["| name | room |", "| --- | --- |", *rows])
        return {piece.input for piece in chunk(text, max_tokens=256)}

    before = inputs()
    rows[edited] = "| Nobody | None |"
    assert 1 <= len(inputs() - before) <= 3


def test_code_is_cut_between_its_blocks_and_has_no_headings() -> None:
    functions = [
        f"# Number {i}\ndef f_{i}(value: int) -> int:\n    first = value + {i}\n\n"
        f"    second = first * 2\n    return second - {i}  # as it was agreed with everybody\n"
        for i in range(40)
    ]
    chunks = chunk("\n\n".join(functions), max_tokens=256, code=True)
    assert {piece.heading for piece in chunks} == {""}
    assert all(piece.text.startswith("# Number") for piece in chunks)
    assert len(chunks) >= 20


def test_a_fence_stands_apart_from_the_paragraph_above_it() -> None:
    lines = "\n".join(f"step_{i} --with some --options {i}" for i in range(100))
    chunks = chunk(f"Run this.\n```sh\n{lines}\n```\nThen wait.", max_tokens=256)
    assert all(not piece.text.startswith("--") for piece in chunks)


def test_a_list_is_cut_between_its_items() -> None:
    text = "\n".join(f"- Item {i}. It has two sentences, which stay together." for i in range(80))
    assert all(piece.text.startswith("- Item") for piece in chunk(text, max_tokens=256))


@settings(deadline=None)
@given(st.integers(0, 19_000))
def test_an_edit_in_a_single_long_line_moves_only_its_neighbours(place: int) -> None:
    rng = random.Random(1)
    text = ",".join(f'"{rng.getrandbits(40):x}":{rng.getrandbits(20)}' for _ in range(1000))
    before = {piece.text for piece in chunk(text, max_tokens=256, code=True)}
    edited = text[:place] + "edited" + text[place:]
    after = {piece.text for piece in chunk(edited, max_tokens=256, code=True)}
    assert 1 <= len(after - before) <= 6


@settings(deadline=None)
@given(st.text(st.sampled_from("ab#-=|`. \n好é9"), min_size=1, max_size=900))
def test_a_split_passage_loses_nothing_but_spaces(text: str) -> None:
    parts = split(Chunk(5, 5 + len(text), text, "Above"))
    assert all(part.text == text[part.start - 5 : part.end - 5] for part in parts)
    assert "".join("".join(part.text.split()) for part in parts) == "".join(text.split())
    assert all(estimate(part.text) <= max(1, estimate(text) // 2) for part in parts) or (
        len(parts) == 1
    )


def test_what_no_vocabulary_knows_is_counted_sign_by_sign() -> None:
    assert most_tokens("a plain sentence") <= 11
    assert most_tokens("0123456789abcdef" * 4) == 64
    assert most_tokens("受付は午前九時") == 7
