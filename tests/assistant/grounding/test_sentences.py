"""Sentences of documents, and of answers that are still being written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponant.assistant.grounding.sentences import Claim, ClaimReader, split


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It opens at 08:30. It closes.", ["It opens at 08:30.", "It closes."]),
        ("Ask Dr. Holt. She knows.", ["Ask Dr. Holt.", "She knows."]),
        ("Er endet am 14. Mai 2026. Danach nicht.", ["Er endet am 14. Mai 2026.", "Danach nicht."]),
        ("One line\nanother line", ["One line", "another line"]),
        ("1. Open the lid.\n2. Close it.", ["1. Open the lid.", "2. Close it."]),
        ("接待处8点开门。周末关闭。", ["接待处8点开门。", "周末关闭。"]),
        ("Version 4.2 adds it! Why?", ["Version 4.2 adds it!", "Why?"]),
    ],
)
def test_sentences_end_where_they_end(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        (
            "The desk opens at 08:30. [2] It closes at 17:00. [1][3]",
            [("The desk opens at 08:30.", (2,)), (" It closes at 17:00.", (1, 3))],
        ),
        ("It opens at 08:30 [2]. Then.", [("It opens at 08:30.", (2,)), (" Then.", ())]),
        ("No mark at the end", [("No mark at the end", ())]),
        ("Twice. [1] [1]", [("Twice.", (1,))]),
        ("- one [1]\n- two [2]", [("- one", (1,)), ("\n- two", (2,))]),
    ],
)
def test_claims_carry_the_numbers_behind_them(
    text: str, claims: list[tuple[str, tuple[int, ...]]]
) -> None:
    wanted = [Claim(*claim) for claim in claims]
    assert _read([text]) == wanted
    assert _read(list(text)) == wanted


@given(
    st.lists(
        st.sampled_from(["The desk ", "opens", " at 08:30", ".", " ", "[1]", "\n", "Dr", "["])
    ),
    st.integers(1, 7),
)
def test_pieces_make_no_difference(parts: list[str], size: int) -> None:
    text = "".join(parts)
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert _read(pieces) == _read([text])


def _read(pieces: list[str]) -> list[Claim]:
    reader = ClaimReader()
    claims = [claim for piece in pieces for claim in reader.feed(piece)]
    return claims + reader.finish()
