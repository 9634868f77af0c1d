"""A model on another server, asked in text."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ponant.engine import FinishReason, Usage
from ponant.kit.errors import BadRequest, UpstreamFailed
from ponant.serving.port import (
    ChatRequest,
    CompletionRequest,
    Controls,
    Delta,
    Embeddings,
    InputKind,
    ModelCard,
    Relevances,
    TextToken,
)
from ponant.serving.provider import Provider
from ponant.text.messages import Message, Passage, Role, Tool, ToolCall

Finish = FinishReason | Literal["tool_calls"]

_JSON_GRAMMAR = "start: %json "


class RemoteModel:
    """A `TextModel` that an upstream server runs.

    Args:
        card: its id here, which begins with the upstream's name.
        remote_id: its id there.
        provider: the server.
    """

    def __init__(self, card: ModelCard, remote_id: str, provider: Provider) -> None:
        self._card = card
        self._remote_id = remote_id
        self._provider = provider

    @property
    def card(self) -> ModelCard:
        return self._card

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Delta]:
        body = request.extra | self._fields(request.controls)
        body["messages"] = _messages(request)
        if request.controls.logprobs is not None:
            body |= {"logprobs": True, "top_logprobs": request.controls.logprobs}
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
            body["tool_choice"] = _tool_choice(request.tool_choice)
            if request.parallel_tool_calls is not None:
                body["parallel_tool_calls"] = request.parallel_tool_calls
        last = request.messages[-1] if request.messages else None
        if last is not None and last.prefix and last.content:
            yield Delta(text=last.content)
        async with aclosing(self._deltas("/chat/completions", body)) as deltas:
            async for delta in deltas:
                yield delta

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta]:
        body = self._fields(request.controls) | {"prompt": request.prompt}
        if request.suffix is not None:
            body["suffix"] = request.suffix
        if request.controls.logprobs is not None:
            body["logprobs"] = request.controls.logprobs
        async with aclosing(self._deltas("/completions", body)) as deltas:
            async for delta in deltas:
                yield delta

    async def embed(self, texts: Sequence[str], kind: InputKind = "passage") -> Embeddings:
        del kind  # the common wire format has no place for it
        found = await self._provider.post(
            "/embeddings", {"model": self._remote_id, "input": list(texts)}
        )
        vectors = self._vectors(found)
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise self._no_vectors()
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        usage = _usage(found) or Usage(prompt_tokens=0, completion_tokens=0)
        return Embeddings(vectors=vectors / np.maximum(norms, 1e-12), usage=usage)

    async def rerank(self, query: str, texts: Sequence[str]) -> Relevances:
        del query, texts
        raise BadRequest(
            f"The model {self._card.id} does not rerank. Choose one that does.", param="model"
        )

    async def tokenize(self, text: str) -> list[int]:
        del text
        raise BadRequest(
            f"The model {self._card.id} runs on another server, which does not tell its tokens.",
            param="model",
        )

    def _vectors(self, found: dict[str, Any]) -> NDArray[np.float32]:
        try:
            rows = sorted(found["data"], key=lambda row: row["index"])
            return np.array([row["embedding"] for row in rows], dtype=np.float32)
        except (KeyError, TypeError, ValueError) as e:
            raise self._no_vectors() from e

    def _no_vectors(self) -> UpstreamFailed:
        name = self._provider.upstream.name
        return UpstreamFailed(f"The upstream {name} sent no usable embeddings.")

    def _fields(self, controls: Controls) -> dict[str, Any]:
        sampling = controls.sampling
        fields: dict[str, Any] = {
            "model": self._remote_id,
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": sampling.temperature,
        }
        # Only what was asked for: some vendors refuse fields that they do not know.
        optional: dict[str, tuple[Any, bool]] = {
            "max_tokens": (controls.max_tokens, controls.max_tokens is not None),
            "min_tokens": (controls.min_tokens, controls.min_tokens > 0),
            "stop": (list(controls.stop), bool(controls.stop)),
            "seed": (sampling.seed, sampling.seed is not None),
            "top_p": (sampling.top_p, sampling.top_p != 1.0),
            "top_k": (sampling.top_k, sampling.top_k > 0),
            "min_p": (sampling.min_p, sampling.min_p > 0),
            "repetition_penalty": (
                sampling.repetition_penalty,
                sampling.repetition_penalty != 1.0,
            ),
            "presence_penalty": (sampling.presence_penalty, sampling.presence_penalty != 0),
            "frequency_penalty": (sampling.frequency_penalty, sampling.frequency_penalty != 0),
            "logit_bias": (sampling.logit_bias, bool(sampling.logit_bias)),
        }
        fields |= {name: value for name, (value, asked) in optional.items() if asked}
        if controls.grammar is not None:
            fields["response_format"] = _response_format(controls.grammar)
        return fields

    async def _deltas(self, path: str, body: dict[str, Any]) -> AsyncGenerator[Delta]:
        """The answer's pieces; finish and usage come last, tool calls whole before them."""
        calls = _Calls()
        finish: Finish = FinishReason.STOP
        usage: Usage | None = None
        async with aclosing(self._provider.stream(path, body)) as chunks:
            async for chunk in chunks:
                usage = _usage(chunk) or usage
                for choice in chunk.get("choices") or ():
                    piece = choice.get("delta") or {}
                    calls.add(piece.get("tool_calls") or ())
                    finish = _finish(choice.get("finish_reason")) or finish
                    delta = _delta(piece, choice)
                    if delta is not None:
                        yield delta
        made = calls.whole()
        yield Delta(tool_calls=made, finish="tool_calls" if made else finish, usage=usage)


class _Calls:
    """Tool calls that come in pieces, by their index."""

    def __init__(self) -> None:
        self._parts: dict[int, dict[str, str]] = {}

    def add(self, pieces: Sequence[dict[str, Any]]) -> None:
        for place, piece in enumerate(pieces):
            call = self._parts.setdefault(
                piece.get("index", place), {"id": "", "name": "", "arguments": ""}
            )
            function = piece.get("function") or {}
            call["id"] = piece.get("id") or call["id"]
            call["name"] = function.get("name") or call["name"]
            arguments = function.get("arguments") or ""
            call["arguments"] += arguments if isinstance(arguments, str) else json.dumps(arguments)

    def whole(self) -> tuple[ToolCall, ...]:
        return tuple(ToolCall(**self._parts[index]) for index in sorted(self._parts))


def _delta(piece: dict[str, Any], choice: dict[str, Any]) -> Delta | None:
    text = piece.get("content") or choice.get("text") or ""
    reasoning = piece.get("reasoning_content") or piece.get("reasoning") or ""
    tokens = tuple(_token(entry) for entry in (choice.get("logprobs") or {}).get("content") or ())
    if not (text or reasoning or tokens):
        return None
    return Delta(text=text, reasoning=reasoning, tokens=tokens)


def _token(entry: dict[str, Any]) -> TextToken:
    top = tuple(
        (other["token"], _data(other), other["logprob"]) for other in entry.get("top_logprobs", ())
    )
    return TextToken(text=entry["token"], data=_data(entry), logprob=entry.get("logprob"), top=top)


def _data(entry: dict[str, Any]) -> bytes:
    return bytes(entry["bytes"]) if entry.get("bytes") else str(entry["token"]).encode()


def _finish(reason: str | None) -> Finish | None:
    match reason:
        case None:
            return None
        case "length":
            return FinishReason.LENGTH
        case "tool_calls":
            return "tool_calls"
        case _:
            return FinishReason.STOP


def _usage(body: dict[str, Any]) -> Usage | None:
    found = body.get("usage")
    if not isinstance(found, dict):
        return None
    details = found.get("prompt_tokens_details") or {}
    return Usage(
        prompt_tokens=found.get("prompt_tokens") or 0,
        completion_tokens=found.get("completion_tokens") or 0,
        cached_tokens=details.get("cached_tokens") or 0,
    )


def _messages(request: ChatRequest) -> list[dict[str, Any]]:
    told = [_message(message) for message in request.messages]
    if request.passages:
        told.insert(0, {"role": "system", "content": _passages(request.passages)})
    return told


def _message(message: Message) -> dict[str, Any]:
    body: dict[str, Any] = {"role": str(message.role), "content": message.content}
    if message.tool_calls:
        body["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    if message.role is Role.TOOL and message.tool_call_id:
        body["tool_call_id"] = message.tool_call_id
    if message.name:
        body["name"] = message.name
    if message.prefix:
        body["prefix"] = True
    return body


def _passages(passages: Sequence[Passage]) -> str:
    numbered = (
        f"[{number}] {passage.title}\n{passage.text}"
        for number, passage in enumerate(passages, start=1)
    )
    return (
        "Answer from these passages alone, and put the number of the passage that supports a "
        "sentence behind it, such as [1]. If no passage answers, say so and cite nothing.\n\n"
        + "\n\n".join(numbered)
    )


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _tool_choice(choice: str) -> str | dict[str, Any]:
    match choice:
        case "auto" | "none":
            return choice
        case "any":
            return "required"
        case name:
            return {"type": "function", "function": {"name": name}}


def _response_format(grammar: str) -> dict[str, Any]:
    """The grammar as other servers take it: JSON and JSON Schema; no more is common to them.

    Raises:
        BadRequest: it is another form.
    """
    if not grammar.startswith(_JSON_GRAMMAR):
        raise BadRequest(
            "Models on other servers can be held to JSON or a JSON Schema only.",
            param="response_format",
        )
    schema = json.loads(grammar.removeprefix(_JSON_GRAMMAR))
    schema.pop("x-guidance", None)
    if schema == {"type": "object"}:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "output", "schema": schema}}
