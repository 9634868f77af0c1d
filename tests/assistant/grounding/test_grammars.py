"""What the grammars let a model write."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from ponant.assistant.grounding import grammars

_BYTES = LLTokenizer("byte")


def _accepts(source: str, text: str) -> bool:
    matcher = LLMatcher(_BYTES, LLMatcher.grammar_from_lark(source))
    assert not matcher.is_error(), matcher.get_error()
    tokens = _BYTES.tokenize_str(text)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


@pytest.mark.parametrize("text", ["It opens. [1]", "Both. [1][3] More. [2]", "No number.", "[x] y"])
def test_answers_with_given_numbers_pass(text: str) -> None:
    assert _accepts(grammars.citing(3), text)


@pytest.mark.parametrize("text", ["It opens. [4]", "[0]", "[12]", "[1, 2]", "[ 1]", "[", "a]"])
def test_other_numbers_in_brackets_do_not(text: str) -> None:
    assert not _accepts(grammars.citing(3), text)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="a. []0123456789\n", max_size=12), st.integers(1, 4))
def test_no_number_outside_those_given_can_be_written(text: str, count: int) -> None:
    if _accepts(grammars.citing(count), text):
        cited = {int(number) for number in re.findall(r"\[\s*(\d+)", text)}
        assert cited <= set(range(1, count + 1))


def test_a_choice_is_one_of_those_offered() -> None:
    source = grammars.citation_among([1, 3])
    assert _accepts(source, " [1]")
    assert _accepts(source, " [3]")
    assert not _accepts(source, " [2]")
    assert not _accepts(source, " [1][3]")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=3))
def test_a_quotation_is_word_for_word(texts: list[str]) -> None:
    for text in texts:
        assert _accepts(grammars.one_of(texts), f" {text}")
    assert not _accepts(grammars.one_of(texts), " " + "".join(texts) + "x")
