"""Messages, tools and passages in the shapes that Hugging Face's chat templates expect.

Every string that somebody else wrote is marked as data; roles and field names are ours.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ponant.text.data import CUT, Data, as_data
from ponant.text.messages import Message, Passage, Tool, ToolCall


def messages(turns: Sequence[Message], *, cut: bool = False) -> list[dict[str, Any]]:
    """The variable ``messages``; ``cut`` marks where the last one's text ends."""
    names = {call.id: call.name for turn in turns for call in turn.tool_calls}
    shaped = [_message(turn, names) for turn in turns]
    if cut:
        shaped[-1]["content"] = Data(str.__str__(shaped[-1]["content"]) + CUT)
    return shaped


def tools(given: Sequence[Tool]) -> list[dict[str, Any]]:
    """The variable ``tools``."""
    return [
        {
            "type": "function",
            "function": {
                "name": as_data(tool.name),
                "description": as_data(tool.description),
                "parameters": as_data(tool.parameters or {"type": "object", "properties": {}}),
            },
        }
        for tool in given
    ]


def documents(passages: Sequence[Passage]) -> list[dict[str, Any]]:
    """The variable ``documents``; templates read the text under either of two names."""
    return [
        {"title": as_data(p.title), "text": as_data(p.text), "content": as_data(p.text)}
        for p in passages
    ]


def _message(turn: Message, names: Mapping[str, str]) -> dict[str, Any]:
    shaped: dict[str, Any] = {"role": turn.role.value, "content": as_data(turn.content)}
    name = turn.name or names.get(turn.tool_call_id or "")
    if name:
        shaped["name"] = as_data(name)
    if turn.tool_call_id is not None:
        shaped["tool_call_id"] = as_data(turn.tool_call_id)
    if turn.tool_calls:
        shaped["tool_calls"] = [_call(call) for call in turn.tool_calls]
    return shaped


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": as_data(call.name), "arguments": as_data(_arguments(call.arguments))}
    return {"id": as_data(call.id), "type": "function", "function": function}


def _arguments(text: str) -> Any:
    """Arguments as the object that templates print, or as they stand where they are none."""
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text
