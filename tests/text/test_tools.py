"""Tool calls in what models write, in every style and in any pieces."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponant.text import ENVELOPE, LLAMA3, MISTRAL, ToolCall, ToolCallParser, ToolStyle, new_call_id

_WEATHER = '{"name": "weather", "arguments": {"city": "Brest", "days": 2}}'
_TIME = '{"name": "time", "arguments": {}}'

_CASES = [
    (ENVELOPE, f"<tool_call>\n{_WEATHER}\n</tool_call>", 1),
    (ENVELOPE, f"<tool_call>{_WEATHER}</tool_call>\n<tool_call>\n{_TIME}\n</tool_call>", 2),
    (MISTRAL, f"[TOOL_CALLS][{_WEATHER}]", 1),
    (MISTRAL, f"[TOOL_CALLS] [{_WEATHER}, {_TIME}]", 2),
    (MISTRAL, '[TOOL_CALLS]weather[ARGS]{"city": "Brest", "days": 2}', 1),
    (MISTRAL, '[TOOL_CALLS]weather[ARGS]{"city": "Brest", "days": 2}[TOOL_CALLS]time[ARGS]{}', 2),
    (LLAMA3, '{"name": "weather", "parameters": {"city": "Brest", "days": 2}}', 1),
    (LLAMA3, '<|python_tag|>{"name": "weather", "parameters": {"city": "Brest", "days": 2}}', 1),
    (LLAMA3, f'{_WEATHER}; {{"name": "time", "parameters": {{}}}}', 2),
]


def _parse(style: ToolStyle, text: str, size: int) -> tuple[str, list[ToolCall]]:
    parser = ToolCallParser(style, ("weather", "time"))
    texts, calls = [], []
    for place in range(0, len(text), size):
        piece, found = parser.feed(text[place : place + size])
        texts.append(piece)
        calls.extend(found)
    piece, found = parser.finish()
    return "".join([*texts, piece]), [*calls, *found]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(("style", "written", "count"), _CASES)
def test_calls_are_found_in_any_pieces(
    style: ToolStyle, written: str, count: int, size: int
) -> None:
    text, calls = _parse(style, written, size)
    assert text.strip() == ""
    assert [call.name for call in calls] == ["weather", "time"][:count]
    assert json.loads(calls[0].arguments) == {"city": "Brest", "days": 2}


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_words_before_and_after_a_call_are_kept(size: int) -> None:
    written = f"Let me look. <tool_call>{_TIME}</tool_call>Done."
    text, calls = _parse(ENVELOPE, written, size)
    assert text == "Let me look. Done."
    assert len(calls) == 1


def test_a_call_cut_off_before_its_closing_tag_is_a_call() -> None:
    text, calls = _parse(ENVELOPE, f"<tool_call>\n{_WEATHER}", 4)
    assert (text, len(calls)) == ("", 1)


@pytest.mark.parametrize(
    ("style", "written"),
    [
        (ENVELOPE, "<tool_call>not JSON</tool_call> and more"),
        (ENVELOPE, '<tool_call>{"name": "weather", "arguments": {"ci'),
        (MISTRAL, '[TOOL_CALLS][{"name": "wea'),
        (LLAMA3, '{"temperature": 12}'),
        (LLAMA3, '{"name": "nothing of ours", "parameters": {}}'),
        (LLAMA3, "{ braces } in prose"),
        (ENVELOPE, "a < b and <tool are no call"),
    ],
)
def test_what_is_no_call_stays_text(style: ToolStyle, written: str) -> None:
    assert _parse(style, written, 3) == (written, [])


@given(
    text=st.lists(
        st.sampled_from(["<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[", "{", "a", " ", _TIME])
    ).map("".join),
    size=st.integers(1, 9),
)
def test_no_text_outside_calls_is_lost(text: str, size: int) -> None:
    kept, calls = _parse(ENVELOPE, text, size)
    if not calls:
        assert kept == text


def test_ids_are_nine_letters_and_digits_and_differ() -> None:
    ids = {new_call_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9]{9}", one) for one in ids)
