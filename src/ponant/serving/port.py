"""The contract between those who ask a model in text and whatever serves it.

A `TextModel` is a model in a worker of ours or one on another server; `api` and `assistant` see no
difference. Every method may raise the errors of `ponant.kit.errors`.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from ponant.engine import Capabilities, FinishReason, Sampling, Usage
from ponant.text.messages import Message, Passage, Tool, ToolCall

InputKind = Literal["query", "passage"]


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """What people may know of a model before they use it.

    Attributes:
        place: ``here``, or ``elsewhere`` where text leaves this machine.
        state: ``ready``, ``starting``, ``stopped`` or ``failed``; ``detail`` says why.
        documents: whether the chat template takes passages itself.
        memory: bytes that it takes on this machine, as estimated from its file; 0 where unknown.
    """

    id: str
    aliases: tuple[str, ...] = ()
    name: str = ""
    description: str = ""
    origin: str = ""
    licence: str = ""
    restrictions: str = ""
    place: Literal["here", "elsewhere"] = "here"
    backend: str = ""
    state: Literal["ready", "starting", "stopped", "failed"] = "stopped"
    detail: str = ""
    context_length: int = 0
    chat: bool = False
    completion: bool = False
    fim: bool = False
    embedding: bool = False
    reranking: bool = False
    tools: bool = False
    documents: bool = False
    dimension: int | None = None
    capabilities: Capabilities = Capabilities()
    created: int = 0
    memory: int = 0


class Controls(msgspec.Struct, frozen=True, kw_only=True):
    """How to generate, whatever the prompt is.

    Attributes:
        max_tokens: None lets the answer fill the context.
        stop: strings that end the answer and are not part of it.
        grammar: llguidance's Lark dialect, or None; `ponant.text.grammar` writes it.
        cache_scope: whose cached prompt pages may be shared.
        owner: whom the work is for; those who wait for one model get equal shares of it.
        priority: a request with a higher one goes first.
    """

    sampling: Sampling = Sampling()
    max_tokens: int | None = None
    min_tokens: int = 0
    stop: tuple[str, ...] = ()
    grammar: str | None = None
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    cache_scope: str = ""
    owner: str = ""
    priority: int = 0


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Messages to answer.

    Attributes:
        tool_choice: ``auto``, ``none``, ``any``, or the name of one tool.
        parallel_tool_calls: whether a forced call may be followed by others. Where the caller does
            not say, a model here makes one: small models would repeat it until the limit.
        passages: what templates that take documents are given.
        tags: pieces of the messages or passages, each with the name under which what is kept of
            the prompt from there on can be forgotten (`Models.forget`).
        extra: fields that an upstream server may know and we do not.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    parallel_tool_calls: bool | None = None
    passages: tuple[Passage, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    controls: Controls = Controls()
    extra: dict[str, Any] = {}


class CompletionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt to continue, as text or token ids; ``suffix`` asks for what stands between."""

    prompt: str | list[int]
    suffix: str | None = None
    controls: Controls = Controls()


class TextToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token as text, with its log probability and the likeliest alternatives."""

    text: str
    data: bytes
    logprob: float | None = None
    top: tuple[tuple[str, bytes, float], ...] = ()


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """The next piece of an answer; the last one carries ``finish`` and ``usage``.

    A tool call comes whole, in one delta. ``prompt_tokens`` comes at most once, first. ``usage``
    may come earlier too, with the prompt's tokens and none of the answer's; the last one counts.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tokens: tuple[TextToken, ...] = ()
    prompt_tokens: tuple[TextToken, ...] = ()
    finish: FinishReason | Literal["tool_calls"] | None = None
    usage: Usage | None = None


class Embeddings(msgspec.Struct, frozen=True, kw_only=True):
    """Vectors of shape (texts, dimension), float32 and of length 1."""

    vectors: NDArray[np.float32]
    usage: Usage


class Relevances(msgspec.Struct, frozen=True, kw_only=True):
    """How well each text answers a query, from 0 to 1, in the order of the texts."""

    scores: list[float]
    usage: Usage


class TextModel(Protocol):
    """One model, asked in text. Closing a returned iterator early cancels the generation."""

    @property
    def card(self) -> ModelCard: ...

    def chat(self, request: ChatRequest) -> AsyncGenerator[Delta]: ...

    def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta]: ...

    async def embed(self, texts: Sequence[str], kind: InputKind = "passage") -> Embeddings: ...

    async def rerank(self, query: str, texts: Sequence[str]) -> Relevances: ...

    async def tokenize(self, text: str) -> list[int]: ...
