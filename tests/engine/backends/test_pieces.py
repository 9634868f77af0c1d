"""Tokens found again by their bytes."""

from hypothesis import given
from hypothesis import strategies as st

from ponant.engine.backends.pieces import Pieces

_BYTE_TOKENS = [f"<0x{byte:02X}>" for byte in range(256)]
_WORDS = ["\u2581sea", "sea", "\u2581", "a"]


def _pieces() -> Pieces:
    return Pieces(
        {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": [*_BYTE_TOKENS, *_WORDS],
            "tokenizer.ggml.token_type": [6] * 256 + [1] * len(_WORDS),
        }
    )


@given(st.characters(min_codepoint=0x80, exclude_categories=["Cs"]))
def test_a_character_of_byte_tokens_is_taken_apart(character: str) -> None:
    data = character.encode()
    *before, last = data
    assert _pieces().split(data, last, len(before)) == before


def test_nothing_is_missing() -> None:
    assert _pieces().split(b" sea", 256, 0) == []


def test_what_does_not_fit_gives_none() -> None:
    assert _pieces().split(b" sea", 258, 1) == []
    assert _pieces().split(b"xx sea", 256, 5) == []


def test_the_longest_piece_comes_first() -> None:
    assert _pieces().split(b"sea\x80", 0x80, 1) == [257]


def test_byte_level_vocabularies() -> None:
    pieces = Pieces({"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": ["Ã", "©", "Ġa"]})
    assert pieces.split("é".encode(), 1, 1) == [0]
