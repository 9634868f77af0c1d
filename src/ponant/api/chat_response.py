"""The chat-shaped response, whole and as events; chat completions and FIM answer in it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from ponant.api import sse
from ponant.api.generation import Answer, gather, merge, total, usage_body
from ponant.api.logprobs import chat_logprobs
from ponant.engine import Usage
from ponant.serving.port import Delta
from ponant.text.messages import ToolCall


class ChatResponse:
    """An answer with one or more choices.

    Args:
        head: the fields ``id``, ``created`` and ``model``.
        choices: the deltas of each choice; consumed once, by `body` or by `frames`.
        logprobs: whether to report the log probabilities of the output.
    """

    def __init__(
        self, head: dict[str, Any], choices: list[AsyncGenerator[Delta]], *, logprobs: bool = False
    ) -> None:
        self._head = head
        self._choices = choices
        self._logprobs = logprobs

    async def body(self) -> dict[str, Any]:
        """The whole answer."""
        answers = await gather(self._choices)
        choices = [self._choice(index, answer) for index, answer in enumerate(answers)]
        usage = usage_body(total([answer.usage for answer in answers]))
        return self._head | {"object": "chat.completion", "choices": choices, "usage": usage}

    async def frames(self) -> AsyncGenerator[bytes]:
        """The answer as server-sent events; the last chunk has the usage and no choice."""
        usages: list[Usage] = []
        started: set[int] = set()
        async with aclosing(merge(self._choices)) as deltas:
            async for index, delta in deltas:
                if delta.usage is not None:
                    usages.append(delta.usage)
                piece = self._piece(index, delta, first=index not in started)
                started.add(index)
                yield self._chunk([piece])
        yield self._chunk([], usage_body(total(usages)))
        yield sse.frame("[DONE]")

    def _choice(self, index: int, answer: Answer) -> dict[str, Any]:
        choice = {"index": index, "finish_reason": answer.finish, "message": _message(answer)}
        return choice | self._scores(answer)

    def _piece(self, index: int, delta: Delta, *, first: bool) -> dict[str, Any]:
        content: dict[str, Any] = {"role": "assistant"} if first else {}
        content["content"] = delta.text
        if delta.reasoning:
            content["reasoning_content"] = delta.reasoning
        if delta.tool_calls:
            content["tool_calls"] = _calls(delta.tool_calls)
        piece = {"index": index, "delta": content, "finish_reason": delta.finish}
        return piece | self._scores(delta)

    def _scores(self, part: Answer | Delta) -> dict[str, Any]:
        scores: dict[str, Any] = {
            "logprobs": chat_logprobs(part.tokens) if self._logprobs else None
        }
        if part.prompt_tokens:
            scores["prompt_logprobs"] = chat_logprobs(part.prompt_tokens)
        return scores

    def _chunk(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
        chunk = self._head | {"object": "chat.completion.chunk", "choices": choices}
        return sse.frame(chunk if usage is None else chunk | {"usage": usage})


def _message(answer: Answer) -> dict[str, Any]:
    only_calls = bool(answer.tool_calls) and not answer.text
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if only_calls else answer.text,
        "tool_calls": _calls(answer.tool_calls) if answer.tool_calls else None,
    }
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    return message


def _calls(calls: tuple[ToolCall, ...] | list[ToolCall]) -> list[dict[str, Any]]:
    # Each call goes whole: pieces of a call break stock clients.
    return [
        {
            "id": call.id,
            "type": "function",
            "index": index,
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for index, call in enumerate(calls)
    ]
