"""Short ways to ask a model in tests."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from ponant.engine import FinishReason, Sampling, Usage
from ponant.serving.port import ChatRequest, CompletionRequest, Controls, Delta, TextModel
from ponant.text.messages import Message, Role, ToolCall

GREEDY = Sampling(temperature=0.0)


@dataclass
class Reply:
    """Everything that came of a request."""

    deltas: list[Delta] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas)

    @property
    def calls(self) -> list[ToolCall]:
        return [call for delta in self.deltas for call in delta.tool_calls]

    @property
    def finish(self) -> FinishReason | str | None:
        assert all(delta.finish is None for delta in self.deltas[:-1])
        return self.deltas[-1].finish

    @property
    def usage(self) -> Usage:
        assert self.deltas[-1].usage is not None
        return self.deltas[-1].usage


async def gathered(deltas: AsyncIterator[Delta]) -> Reply:
    return Reply([delta async for delta in deltas])


def chat_request(text: str, *more: Message, **fields: Any) -> ChatRequest:
    """One user message; fields of `Controls` and `ChatRequest` go where they belong."""
    own = {name: fields.pop(name) for name in list(fields) if name in ChatRequest.__struct_fields__}
    controls = Controls(**{"sampling": GREEDY, "max_tokens": 64} | fields)
    messages = (Message(role=Role.USER, content=text), *more)
    return ChatRequest(messages=messages, controls=controls, **own)


async def chat(model: TextModel, text: str, *more: Message, **fields: Any) -> Reply:
    return await gathered(model.chat(chat_request(text, *more, **fields)))


async def complete(
    model: TextModel, prompt: str, suffix: str | None = None, **fields: Any
) -> Reply:
    controls = Controls(**{"sampling": GREEDY, "max_tokens": 64} | fields)
    return await gathered(
        model.complete(CompletionRequest(prompt=prompt, suffix=suffix, controls=controls))
    )
