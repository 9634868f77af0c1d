"""The contract between those who want tokens and the backends that make them.

An engine takes prompts as token ids and answers with events. It is used from one process and
many threads: `submit` returns at once, events arrive on a thread of the engine's own.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray


class QueueFull(ValueError):
    """As many requests wait as may.

    Attributes:
        retry_after: seconds until those that wait now are done, as far as it is measured.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class FinishReason(StrEnum):
    """Why a request ended."""

    STOP = "stop"  # a stop token, or the grammar is complete
    LENGTH = "length"  # max_tokens or the context is used up
    CANCELLED = "cancelled"
    ERROR = "error"


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend can do beyond plain generation; the API refuses the rest by name."""

    grammar: bool = False
    logit_bias: bool = False
    logprobs: bool = False
    prompt_logprobs: bool = False
    penalties: bool = False
    min_tokens: bool = False
    scoped_prefix_cache: bool = False
    drafts: bool = False
    adapters: bool = False


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a loaded model is.

    Attributes:
        backend: ``native``, ``llamacpp`` or ``echo``.
        model_hash: SHA-256 of the weights, in hex.
        weight_form: how the weights stand in memory, such as ``bf16`` or ``gguf``.
        context_length: longest prompt and answer together, in tokens.
        vocabulary_size: number of token ids.
        resident_bytes: memory that weights and cache take.
    """

    backend: str
    model_hash: str
    weight_form: str
    context_length: int
    vocabulary_size: int
    resident_bytes: int
    capabilities: Capabilities


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How the next token is drawn from the logits.

    The order is: logit bias, penalties, grammar mask, temperature, top-k, top-p, min-p, draw.
    ``temperature`` 0 is greedy: ties go to the lowest id. A seed makes the draw repeatable on one
    backend and weight form, whatever else runs beside it.
    """

    temperature: float = 1.0
    top_k: int = 0  # 0: all
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0  # over prompt and output (CTRL, arXiv 1909.05858)
    presence_penalty: float = 0.0  # over the output alone, as OpenAI defines it
    frequency_penalty: float = 0.0
    logit_bias: dict[int, float] = {}
    seed: int | None = None


class Tag(msgspec.Struct, frozen=True, array_like=True):
    """Something that a prompt holds from token ``start`` on, such as a passage of a document."""

    start: int
    name: str


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One generation.

    Attributes:
        id: chosen by the caller, unique among those in flight.
        prompt: token ids, at least one.
        max_tokens: most tokens to produce; 0 only scores the prompt.
        stop_tokens: ids that end the answer; the one that does is not returned.
        min_tokens: no stop token is drawn before so many tokens.
        grammar: source text for the `ConstraintFactory` (llguidance's Lark dialect), or None.
        cache_scope: whose KV pages may be shared; equal scopes share, others never do.
        tags: what the prompt holds that may have to be forgotten; see `Engine.forget`.
        owner: whom the tokens are counted for; owners that wait get equal shares. Opaque.
        priority: a request with a higher one goes first, within its owner and across owners.
        logprobs: number of alternatives to report per token (0: the chosen one alone), or None.
        prompt_logprobs: the same for the prompt's tokens, or None.
    """

    id: str
    prompt: list[int]
    max_tokens: int
    sampling: Sampling = Sampling()
    stop_tokens: tuple[int, ...] = ()
    min_tokens: int = 0
    grammar: str | None = None
    cache_scope: str = ""
    tags: tuple[Tag, ...] = ()
    owner: str = ""
    priority: int = 0
    logprobs: int | None = None
    prompt_logprobs: int | None = None


class Token(msgspec.Struct, frozen=True, array_like=True):
    """A token with its natural-log probability under the unmodified distribution.

    ``logprob`` is None where none was asked for, and for a prompt's first token. ``top`` holds
    ``(id, logprob)`` from the likeliest down.
    """

    id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens that a request consumed; ``cached_tokens`` are the prompt tokens not computed."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a request.

    Any number of events carry tokens; exactly one, the last, carries ``finish`` and ``usage``.
    ``prompt_tokens`` comes at most once, before the first output token. ``cached_tokens`` comes
    with tokens, so that who leaves early knows it too. ``error`` says what went wrong where
    ``finish`` is ERROR.
    """

    request_id: str
    tokens: tuple[Token, ...] = ()
    cached_tokens: int = 0
    prompt_tokens: tuple[Token, ...] = ()
    finish: FinishReason | None = None
    usage: Usage | None = None
    error: str | None = None


class Constraint(Protocol):
    """A grammar at work on one request: which token may come next."""

    def mask(self) -> NDArray[np.uint32]:
        """Bitmask over the vocabulary, ``ceil(vocabulary / 32)`` words, lowest bit first."""
        ...

    def accept(self, token: int) -> bool:
        """Move past a token; False where the grammar does not allow it."""
        ...

    def rollback(self, count: int) -> None:
        """Take back the last ``count`` accepted tokens."""
        ...

    def forced(self) -> Sequence[int]:
        """Tokens that must come next, where the grammar leaves no choice; may be empty."""
        ...

    @property
    def complete(self) -> bool:
        """Whether nothing but the end may follow."""
        ...


ConstraintFactory = Callable[[str], Constraint]
"""Builds a constraint from a request's grammar; raises ValueError with the grammar's fault."""


class Engine(Protocol):
    """A loaded model that generates.

    Any number of requests run at once. Greedy tokens of one request do not depend on the others
    beside it where the backend is the native one.
    """

    @property
    def info(self) -> EngineInfo: ...

    def submit(self, request: Request, emit: Callable[[Event], None]) -> None:
        """Queue a request; ``emit`` is called from the engine's thread and must not block.

        Raises:
            ValueError: prompt empty, longer than the context, ids outside the vocabulary, a
                grammar that does not parse, or a capability that `info` does not declare.
            QueueFull: as many requests wait as may.
        """
        ...

    def cancel(self, request_id: str) -> None:
        """End a request soon; its last event has finish CANCELLED. Unknown ids are ignored."""
        ...

    def forget(self, names: Sequence[str]) -> None:
        """Drop soon what is kept of prompts from these tags on, in memory and on disk.

        Requests in flight go on, and what they compute behind such a tag is not kept either. A
        backend without ``scoped_prefix_cache`` keeps nothing of a prompt that has ended.
        """
        ...

    def close(self) -> None:
        """Free everything; requests in flight end with ERROR."""
        ...


class Encoder(Protocol):
    """A loaded model that embeds."""

    @property
    def dimension(self) -> int: ...

    @property
    def max_tokens(self) -> int:
        """Longest input, special tokens included."""
        ...

    def encode(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Embed token sequences.

        Returns:
            Array of shape (len(batch), dimension), rows of length 1.

        Raises:
            ValueError: a sequence is empty or longer than `max_tokens`.
        """
        ...


class Reranker(Protocol):
    """A loaded model that says how well a text answers a query."""

    @property
    def max_tokens(self) -> int:
        """Longest pair, special tokens included."""
        ...

    def score(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> NDArray[np.float32]:
        """Score pairs of query and text.

        Args:
            pairs: token ids of both parts; each part has its special tokens.

        Returns:
            Array of shape (len(pairs),), from 0 to 1.

        Raises:
            ValueError: a pair is empty or longer than `max_tokens`.
        """
        ...
