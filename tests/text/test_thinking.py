"""Thinking apart from the answer, in any pieces."""

import pytest

from ponant.text import ThinkingParser


def _parse(written: str, size: int, *, begun: bool = False) -> tuple[str, str]:
    parser = ThinkingParser(begun=begun)
    reasoning, text = "", ""
    for place in range(0, len(written), size):
        more, answer = parser.feed(written[place : place + size])
        reasoning, text = reasoning + more, text + answer
    more, answer = parser.finish()
    return reasoning + more, text + answer


@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize(
    ("written", "reasoning", "text"),
    [
        ("<think>one two</think>\n\nthree", "one two", "three"),
        ("\n<think>\none</think>two <think>", "one", "two <think>"),
        ("[THINK]one[/THINK]two", "one", "two"),
        ("no thinking <think> here", "", "no thinking <think> here"),
        ("<thin air", "", "<thin air"),
        ("<think>never ends </thin", "never ends </thin", ""),
        ("", "", ""),
    ],
)
def test_thinking_is_parted_from_the_answer(
    written: str, reasoning: str, text: str, size: int
) -> None:
    found_reasoning, found_text = _parse(written, size)
    assert (found_reasoning.strip(), found_text.strip()) == (reasoning, text)


def test_a_prompt_may_have_opened_the_thinking() -> None:
    assert _parse("one</think>two", 3, begun=True) == ("one", "two")
