"""Says in plain words, and in a regular order, what a chat template has no place for."""

import json
from collections.abc import Iterator, Sequence

import msgspec

from ponant.text.messages import Message, Passage, Role, Tool

_CITE = (
    "Answer from these passages alone. After each sentence put the number of the passage that "
    'supports it, such as "The desk opens at 08:30. [2]". If no passage answers, say "The passages '
    'do not say." without a number.'
)

TOOL_CALL_START, TOOL_CALL_END = "<tool_call>", "</tool_call>"


def orders(turns: Sequence[Message]) -> Iterator[list[Message]]:
    """The same conversation, each time in an order that more templates accept."""
    yield list(turns)
    yield joined(turns)
    folded = joined(without_system(turns))
    yield folded
    yield _opened(folded)
    yield _opened(joined(without_tool_turns(without_system(turns))))


def joined(turns: Sequence[Message]) -> list[Message]:
    """Neighbouring turns of one role as one turn; tool results stay apart."""
    result: list[Message] = []
    for turn in turns:
        last = result[-1] if result else None
        if last and last.role is turn.role and turn.role is not Role.TOOL:
            result[-1] = msgspec.structs.replace(
                turn,
                content=_paragraphs(last.content, turn.content),
                tool_calls=last.tool_calls + turn.tool_calls,
            )
        else:
            result.append(turn)
    return result


def without_system(turns: Sequence[Message]) -> list[Message]:
    """System messages as the beginning of the user turn that follows."""
    result: list[Message] = []
    waiting = ""
    for turn in turns:
        if turn.role is Role.SYSTEM:
            waiting = _paragraphs(waiting, turn.content)
        elif turn.role is Role.USER and waiting:
            content = _paragraphs(waiting, turn.content)
            result.append(msgspec.structs.replace(turn, content=content))
            waiting = ""
        else:
            result.append(turn)
    if waiting:
        place = len(result) - 1 if result and result[-1].prefix else len(result)
        result.insert(place, Message(role=Role.USER, content=waiting))
    return result


def without_tool_turns(turns: Sequence[Message]) -> list[Message]:
    """Tool calls as the text that makes them, and their results as a user's words."""
    names = {call.id: call.name for turn in turns for call in turn.tool_calls}
    result: list[Message] = []
    for turn in turns:
        if turn.role is Role.TOOL:
            name = turn.name or names.get(turn.tool_call_id or "", "the tool")
            content = f"Result of {name}:\n{turn.content}"
            result.append(Message(role=Role.USER, content=content))
        elif turn.tool_calls:
            calls = "\n".join(_call_text(c.name, c.arguments) for c in turn.tool_calls)
            content = _paragraphs(turn.content, calls)
            result.append(msgspec.structs.replace(turn, content=content, tool_calls=()))
        else:
            result.append(turn)
    return result


def with_tools(turns: Sequence[Message], tools: Sequence[Tool]) -> list[Message]:
    """A system message in front that tells the tools and how to call them."""
    lines = [
        "You can call these functions:",
        *(_tool_line(tool) for tool in tools),
        "To call one, answer with exactly this and nothing else:",
        _call_text("FUNCTION", '{"PARAMETER": "VALUE"}'),
    ]
    return [Message(role=Role.SYSTEM, content="\n".join(lines)), *turns]


def with_passages(turns: Sequence[Message], passages: Sequence[Passage]) -> list[Message]:
    """The passages before the last user turn's text, with the rules for citing them."""
    numbered = [
        f"[{number}] {passage.title}\n{passage.text}" for number, passage in enumerate(passages, 1)
    ]
    told = "\n\n".join(
        (
            _CITE,
            *numbered,
        )
    )
    for place in range(len(turns) - 1, -1, -1):
        if turns[place].role is Role.USER:
            content = f"{told}\n\nQuestion: {turns[place].content}"
            asked = msgspec.structs.replace(turns[place], content=content)
            return [*turns[:place], asked, *turns[place + 1 :]]
    return [Message(role=Role.USER, content=told), *turns]


def _opened(turns: list[Message]) -> list[Message]:
    """With a user turn in front where another role begins."""
    if turns and turns[0].role is Role.USER:
        return turns
    return [Message(role=Role.USER, content="…"), *turns]


def _tool_line(tool: Tool) -> str:
    described = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    return json.dumps(described, ensure_ascii=False)


def _call_text(name: str, arguments: str) -> str:
    body = f'{{"name": {json.dumps(name, ensure_ascii=False)}, "arguments": {arguments or "{}"}}}'
    return f"{TOOL_CALL_START}\n{body}\n{TOOL_CALL_END}"


def _paragraphs(*texts: str) -> str:
    return "\n\n".join(text for text in texts if text)
