"""Takes tool calls out of what a model writes, in every style that families of models have."""

import json
import secrets
import string
from collections.abc import Sequence
from typing import Any

from ponant.text.messages import ToolCall
from ponant.text.stops import possible_beginning
from ponant.text.tool_styles import ENVELOPE, ToolStyle

_ALPHABET = string.ascii_letters + string.digits
_DECODER = json.JSONDecoder()


def new_call_id() -> str:
    """Nine letters and digits, the form that every client accepts."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(9))


class ToolCallParser:
    """Parts a stream of text into what is meant for people and the calls in it.

    Understood are a JSON object between ``<tool_call>`` tags (Hermes, Qwen, and Ponant's own
    convention), Mistral's ``[TOOL_CALLS]`` with a list or with ``name[ARGS]{…}``, and Llama's bare
    JSON object where the style is `LLAMA3`. What begins like a call and is none is given out as
    text, so nothing that a model writes is lost.

    Args:
        style: how the model at hand writes calls.
        names: the tools there are; a bare object is a call only if it names one of them.
    """

    def __init__(self, style: ToolStyle = ENVELOPE, names: Sequence[str] = ()) -> None:
        self._bare = style.bare
        self._names = frozenset(names)
        self._held = ""
        self._begun = False  # whether anything but white space was given out

    def feed(self, text: str) -> tuple[str, tuple[ToolCall, ...]]:
        """The text and the calls that are certain by now."""
        self._held += text
        if self._opens_bare():
            return "", ()
        starts = [self._held.find(opening) for opening in _OPENINGS]
        found = min((start for start in starts if start >= 0), default=-1)
        if found < 0:
            found = len(self._held) - possible_beginning(self._held, _OPENINGS)
            return self._give(found), ()
        before = self._give(found)
        read = _read_enveloped(self._held)
        if read is None:
            return before, ()
        calls, used = read
        self._held = self._held[used:]
        more, further = self.feed("")
        return before + more, (*calls, *further)

    def finish(self) -> tuple[str, tuple[ToolCall, ...]]:
        """What is left at the end: a call whose closing tag is missing, or text."""
        rest, self._held = self._held, ""
        calls = _read_bare(rest, self._names) if self._bare and not self._begun else ()
        if calls:
            return "", calls
        for opening in _OPENINGS:
            if rest.startswith(opening) and (calls := _calls_in(rest.removeprefix(opening))):
                return "", calls
        return rest, ()

    def _opens_bare(self) -> bool:
        """Whether all text so far may be one bare object, which only its end can tell."""
        if not self._bare or self._begun:
            return False
        begun = self._held.lstrip()
        opening = begun.removeprefix(_PYTHON_TAG).lstrip()
        return _PYTHON_TAG.startswith(begun) or not opening or opening.startswith("{")

    def _give(self, length: int) -> str:
        text, self._held = self._held[:length], self._held[length:]
        self._begun = self._begun or bool(text.strip())
        return text


_PYTHON_TAG = "<|python_tag|>"
_TAG, _TAG_END = "<tool_call>", "</tool_call>"
_MISTRAL = "[TOOL_CALLS]"
_OPENINGS = (_TAG, _MISTRAL)


def _read_enveloped(text: str) -> tuple[tuple[ToolCall, ...], int] | None:
    """The calls that a text begins with and the characters they take; None while unfinished."""
    if text.startswith(_TAG):
        end = text.find(_TAG_END)
        if end < 0:
            return None
        calls = _calls_in(text[len(_TAG) : end])
        used = end + len(_TAG_END)
        # White space after an envelope belongs to it: it parts one call from the next.
        used += len(text[used:]) - len(text[used:].lstrip())
        return (calls, used) if calls else None
    body = text.removeprefix(_MISTRAL)
    lead = len(text) - len(body.lstrip())
    return _mistral_list(text, lead) if body.lstrip().startswith("[") else _mistral_call(text)


def _mistral_list(text: str, start: int) -> tuple[tuple[ToolCall, ...], int] | None:
    try:
        entries, used = _DECODER.raw_decode(text, start)
    except ValueError:
        return None
    calls = _calls_of(entries)
    return (calls, used) if calls else None


def _mistral_call(text: str) -> tuple[tuple[ToolCall, ...], int] | None:
    """``[TOOL_CALLS]name[ARGS]{…}``, as newer models of Mistral's write one call."""
    name, marked, _ = text.removeprefix(_MISTRAL).partition("[ARGS]")
    if not marked:
        return None
    start = len(_MISTRAL) + len(name) + len(marked)
    try:
        arguments, used = _DECODER.raw_decode(text, start)
    except ValueError:
        return None
    call = _call({"name": name.partition("[CALL_ID]")[0].strip(), "arguments": arguments})
    return ((call,), used) if call else None


def _calls_in(text: str) -> tuple[ToolCall, ...]:
    try:
        return _calls_of(json.loads(text.strip()))
    except ValueError:
        return ()


def _read_bare(text: str, names: frozenset[str]) -> tuple[ToolCall, ...]:
    """Llama's objects, one after another with semicolons or white space between them."""
    rest = text.strip().removeprefix(_PYTHON_TAG).strip()
    calls: list[ToolCall] = []
    while rest:
        try:
            entry, used = _DECODER.raw_decode(rest)
        except ValueError:
            return ()
        call = _call(entry)
        if call is None or (names and call.name not in names):
            return ()
        calls.append(call)
        rest = rest[used:].lstrip("; \n\t")
    return tuple(calls)


def _calls_of(entries: Any) -> tuple[ToolCall, ...]:
    listed = entries if isinstance(entries, list) else [entries]
    calls = [_call(entry) for entry in listed]
    return tuple(call for call in calls if call) if all(calls) else ()


def _call(entry: Any) -> ToolCall | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"]:
        return None
    arguments = entry.get("arguments", entry.get("parameters", {}))
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return ToolCall(id=new_call_id(), name=entry["name"], arguments=arguments)
