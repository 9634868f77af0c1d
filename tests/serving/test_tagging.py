"""Pieces of a prompt are tagged at the token in which they begin."""

from pathlib import Path

import pytest

from ponant.engine import Tag
from ponant.serving.echo import load_echo_tokenizer
from ponant.serving.tagging import token_tags
from ponant.text.tokenizer import load_tokenizer


def test_a_piece_begins_at_its_byte() -> None:
    tokenizer = load_echo_tokenizer()
    ids = tokenizer.encode("Zwei Öfen: warm. Drei Öfen: kalt.")
    tags = token_tags(tokenizer, ids, [("warm.", "one"), ("kalt.", "two")])
    assert tags == (Tag(12, "one"), Tag(30, "two"))


def test_a_piece_that_is_not_there_counts_from_the_beginning() -> None:
    tokenizer = load_echo_tokenizer()
    assert token_tags(tokenizer, tokenizer.encode("warm"), [("kalt", "x")]) == (Tag(0, "x"),)


@pytest.mark.model
def test_a_piece_begins_in_a_token_of_a_real_vocabulary(models_home: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(models_home / "models" / "starter" / "model.gguf", tmp_path)
    before = "Passages:\n[1] (desk.md) The desk opens at 08:30.\n[2] (refunds.md) "
    piece = "Refunds take ten working days."
    ids = tokenizer.encode_prompt(before + piece + "\n\nQuestion: How long do refunds take?")
    [tag] = token_tags(tokenizer, ids, [(piece, "refunds")])
    text = tokenizer.decode(ids[: tag.start])
    assert (before + piece).startswith(text)
    assert len(before) - 8 < len(text) <= len(before)
