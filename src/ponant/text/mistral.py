"""Mistral's chat formats, for models whose vocabulary names a version instead of a Jinja template.

They are mistral-common's, version by version, and a test compares the two token by token. What
somebody else wrote stays data here too: a special token's name in it is plain text.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ponant.kit.errors import SetupError
from ponant.text import fallback
from ponant.text.messages import Message, Passage, Role, Tool, ToolCall
from ponant.text.rendered import Rendered, Segment
from ponant.text.template import Features

VERSIONS = ("v1", "v2", "v3", "v7", "v11", "v13")


class MistralTemplate:
    """Renders messages as a version of Mistral's format. Safe to use from many threads.

    Args:
        version: one of `VERSIONS`.

    Raises:
        SetupError: the version is unknown.
    """

    def __init__(self, version: str) -> None:
        if version not in VERSIONS:
            raise SetupError(
                f"Ponant does not know Mistral's chat format {version}; it knows "
                f"{', '.join(VERSIONS)}. Choose another model."
            )
        self._version = int(version[1:])
        has_tools = self._version > 1
        self.features = Features(
            system=True, tools=has_tools, tool_results=has_tools, documents=False
        )

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Tool] = (),
        passages: Sequence[Passage] = (),
        add_generation_prompt: bool = True,
        extra: Mapping[str, Any] | None = None,
    ) -> Rendered:
        """The prompt for these messages; see `ChatTemplate.render`. ``extra`` has no place here."""
        del add_generation_prompt, extra  # an answer follows the user's turn without a mark
        turns = fallback.with_passages(messages, passages) if passages else list(messages)
        if tools and not self.features.tools:
            turns = fallback.with_tools(turns, tools)
        if not self.features.tool_results:
            turns = fallback.without_tool_turns(turns)
        return _Prompt(self._version, turns, tools).rendered()


class _Prompt:
    """One prompt in the making."""

    def __init__(self, version: int, turns: Sequence[Message], tools: Sequence[Tool]) -> None:
        self._version = version
        self._tools = tools
        self._segments = [Segment("<s>", is_template=True)]
        self._breaks: set[int] = set()
        self._turns = _in_order(turns, version)
        users = [place for place, turn in enumerate(self._turns) if turn.role is Role.USER]
        self._first, self._last = (users[0], users[-1]) if users else (-1, -1)

    def rendered(self) -> Rendered:
        for place, turn in enumerate(self._turns):
            match turn.role:
                case Role.SYSTEM:
                    self._add("[SYSTEM_PROMPT]", turn.content, "[/SYSTEM_PROMPT]")
                case Role.USER:
                    self._user(place, turn)
                case Role.ASSISTANT:
                    self._assistant(place, turn)
                case Role.TOOL:
                    self._result(place, turn)
        return Rendered(tuple(self._segments), breaks=frozenset(self._breaks))

    def _add(self, *parts: str) -> None:
        """Marks and data in turns, a mark first."""
        for number, part in enumerate(parts):
            self._breaks.add(len(self._segments))
            self._segments.append(Segment(part, is_template=number % 2 == 0))

    def _user(self, place: int, turn: Message) -> None:
        if self._version == 1:
            # This vocabulary has no marks of its own: what stands around a turn is plain text.
            self._add("", f"[INST] {turn.content} [/INST]")
            return
        if self._tools and place == (self._first if self._version >= 13 else self._last):
            self._add("[AVAILABLE_TOOLS]", _tools(self._tools), "[/AVAILABLE_TOOLS]")
        self._add("[INST]", turn.content, "[/INST]")

    def _assistant(self, place: int, turn: Message) -> None:
        if self._version == 2 and turn.tool_calls and place < self._last:
            return  # this version forgets calls once they are answered
        if turn.content:
            self._add("", turn.content if self._version == 1 else turn.content.rstrip(" "))
        if turn.tool_calls and self._version >= 11:
            for call in turn.tool_calls:
                self._call(call)
        elif turn.tool_calls:
            calls = [_listed(call, self._version) for call in turn.tool_calls]
            self._add("[TOOL_CALLS]", _dump(calls))
        if not turn.prefix:
            self._add("</s>")

    def _call(self, call: ToolCall) -> None:
        self._add("[TOOL_CALLS]", call.name)
        if self._version == 11 and call.id:
            self._add("[CALL_ID]", call.id)
        self._add("[ARGS]", _dump(_parsed(call.arguments)))

    def _result(self, place: int, turn: Message) -> None:
        match self._version:
            case 2 if place < self._last:
                return
            case 2:
                told: Any = [{"name": turn.name, "content": _parsed(turn.content)}]
                self._add("[TOOL_RESULTS]", _dump(told))
            case 3:
                told = {"content": _parsed(turn.content), "call_id": turn.tool_call_id}
                self._add("[TOOL_RESULTS]", _dump(told))
            case 7 | 11:
                self._add("[TOOL_RESULTS]", turn.tool_call_id or "")
                self._add("[TOOL_CONTENT]", _normal(turn.content))
            case _:
                self._add("[TOOL_RESULTS]", _normal(turn.content))
        self._add("[/TOOL_RESULTS]")


def _in_order(turns: Sequence[Message], version: int) -> list[Message]:
    """The turns with neighbours of one role joined and system messages where they belong."""
    if version >= 7:
        return _results_in_order(_joined(turns)) if version >= 13 else _joined(turns)
    system = "\n\n".join(turn.content for turn in turns if turn.role is Role.SYSTEM)
    rest = _joined([turn for turn in turns if turn.role is not Role.SYSTEM])
    if not rest or rest[0].role is not Role.USER:
        rest.insert(0, Message(role=Role.USER))
    users = [place for place, turn in enumerate(rest) if turn.role is Role.USER]
    place = users[0] if version == 1 else users[-1]
    if system:
        content = f"{system}\n\n{rest[place].content}"
        rest[place] = msgspec.structs.replace(rest[place], content=content)
    return rest


def _joined(turns: Sequence[Message]) -> list[Message]:
    """Neighbouring turns of one role as one, but for results and system messages."""
    joined: list[Message] = []
    for turn in turns:
        last = joined[-1] if joined else None
        if last is None or last.role is not turn.role or turn.role in {Role.TOOL, Role.SYSTEM}:
            joined.append(turn)
            continue
        joined[-1] = msgspec.structs.replace(
            turn,
            content="\n\n".join(filter(None, (last.content, turn.content))),
            tool_calls=last.tool_calls + turn.tool_calls,
            prefix=last.prefix or turn.prefix,
        )
    return joined


def _results_in_order(turns: list[Message]) -> list[Message]:
    """The results of calls in the order of the calls, whichever came first."""
    ordered: list[Message] = []
    waiting: list[Message] = []
    ids: list[str] = []
    for turn in [*turns, None]:
        if turn is not None and turn.role is Role.TOOL:
            waiting.append(turn)
            continue
        places = {call_id: place for place, call_id in enumerate(ids)}
        ordered += sorted(waiting, key=lambda it: places.get(it.tool_call_id or "", len(ids)))
        waiting = []
        if turn is not None:
            ordered.append(turn)
            ids = [call.id for call in turn.tool_calls]
    return ordered


def _tools(tools: Sequence[Tool]) -> str:
    return _dump(
        [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                },
            }
            for tool in tools
        ]
    )


def _listed(call: ToolCall, version: int) -> dict[str, Any]:
    listed = {"name": call.name, "arguments": _parsed(call.arguments)}
    return listed | {"id": call.id} if version >= 3 and call.id else listed


def _parsed(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def _normal(text: str) -> str:
    """JSON in one notation, anything else as it stands."""
    parsed = _parsed(text)
    return text if isinstance(parsed, str) and parsed == text else _dump(parsed)


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
