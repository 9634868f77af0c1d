"""What chat, completions and FIM share: fields, checks, metering, choices and disconnects."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any, Literal, Self, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from ponant.accounts import Principal
from ponant.api.fields import Count, LogitBias, Seed, Strings, ignored_header
from ponant.engine import Sampling, Usage
from ponant.kit import Clock, PonantError, new_id
from ponant.kit.errors import BadRequest
from ponant.serving.port import Controls, Delta, ModelCard, TextToken
from ponant.text import grammar
from ponant.text.messages import ToolCall

T = TypeVar("T")

_DEFAULT_TEMPERATURE = 0.7
_SHORT_SECONDS = 0.05  # for so long nobody looks whether the client is there: it costs a task


class JsonSchema(BaseModel):
    """A named JSON Schema."""

    name: str = "output"
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(BaseModel):
    """The form that an answer must take; ``regex`` and ``grammar`` are additions of Ponant's."""

    type: Literal["text", "json_object", "json_schema", "regex", "grammar"] = "text"
    json_schema: JsonSchema | None = None
    regex: str | None = Field(default=None, description="For type regex: the whole answer's form.")
    grammar: str | None = Field(default=None, description="For type grammar: llguidance's Lark.")

    def source(self) -> str | None:
        """The grammar to generate under, or None where anything goes.

        Raises:
            BadRequest: the form cannot be understood.
        """
        try:
            match self:
                case ResponseFormat(type="json_object"):
                    return grammar.json_object()
                case ResponseFormat(type="json_schema", json_schema=JsonSchema(schema_=schema)):
                    return grammar.json_schema(schema)
                case ResponseFormat(type="regex", regex=str(pattern)):
                    return grammar.regex(pattern)
                case ResponseFormat(type="grammar", grammar=str(source)):
                    return grammar.lark(source)
        except ValueError as e:
            raise BadRequest(f"response_format cannot be used: {e}", param="response_format") from e
        if self.type == "text":
            return None
        raise BadRequest(
            f"response_format of type {self.type} needs the field {self.type}.",
            param="response_format",
        )


class GenerationFields(BaseModel):
    """The fields that say how to generate. Others are ignored, and named in a header."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    model: str
    stream: bool = False
    max_tokens: Count | None = None
    min_tokens: Count | None = None
    temperature: float | None = Field(default=None, ge=0, le=5)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=-1, lt=2**31)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: LogitBias | None = None
    seed: Seed | None = None
    random_seed: Seed | None = None
    stop: Strings = ()
    n: int | None = Field(default=None, ge=1, le=16)
    stream_options: dict[str, Any] | None = None
    service_tier: str | None = Field(
        default=None,
        max_length=40,
        description="`flex` lets what others ask go first; every other tier is the usual one.",
    )

    @property
    def priority(self) -> int:
        """Below the usual 0 for who has time; nobody puts themselves above others."""
        return -1 if self.service_tier == "flex" else 0

    @property
    def choices(self) -> int:
        return self.n or 1

    def sampling(self) -> Sampling:
        """The fields as the engine takes them."""
        seed = self.seed if self.seed is not None else self.random_seed
        temperature = _DEFAULT_TEMPERATURE if self.temperature is None else self.temperature
        return Sampling(
            temperature=temperature,
            top_k=max(self.top_k or 0, 0),
            top_p=1.0 if self.top_p is None else self.top_p,
            min_p=self.min_p or 0.0,
            repetition_penalty=self.repetition_penalty or 1.0,
            presence_penalty=self.presence_penalty or 0.0,
            frequency_penalty=self.frequency_penalty or 0.0,
            logit_bias=self.logit_bias or {},
            seed=None if seed is None else seed % 2**63,
        )

    def ignored_header(self) -> dict[str, str]:
        """Names the parameters that have no effect here."""
        return ignored_header(self.model_extra)

    def for_choice(self, index: int) -> Self:
        """The same request for the ``index``-th choice: a seed moves on with it."""
        seed = self.seed if self.seed is not None else self.random_seed
        if seed is None or index == 0:
            return self
        return self.model_copy(update={"seed": seed + index, "random_seed": None})


def response_head(prefix: str, model: str, clock: Clock) -> dict[str, Any]:
    """The fields that open every response: a fresh id, the time, and the model as it was named."""
    return {"id": new_id(prefix), "created": int(clock.now().timestamp()), "model": model}


def cache_scope(principal: Principal) -> str:
    """Prompt pages are shared inside a workspace, never across."""
    return principal.workspace_id


def check_capabilities(card: ModelCard, controls: Controls) -> None:
    """Refuse by name what the model's backend cannot do.

    Raises:
        BadRequest: names the parameter and the backend.
    """
    sampling, can = controls.sampling, card.capabilities
    penalised = (
        sampling.repetition_penalty != 1.0
        or sampling.presence_penalty != 0.0
        or sampling.frequency_penalty != 0.0
    )
    wanted = (
        ("response_format", controls.grammar is not None, can.grammar),
        ("logit_bias", bool(sampling.logit_bias), can.logit_bias),
        ("logprobs", controls.logprobs is not None, can.logprobs),
        ("prompt_logprobs", controls.prompt_logprobs is not None, can.prompt_logprobs),
        ("penalties", penalised, can.penalties),
        ("min_tokens", controls.min_tokens > 0, can.min_tokens),
    )
    for name, asked, possible in wanted:
        if asked and not possible:
            raise BadRequest(
                f"The model {card.id} runs on the {card.backend} backend, which has no {name}. "
                "Leave it out or choose another model.",
                param=name,
            )


class Answer(msgspec.Struct, kw_only=True):
    """A whole answer, gathered from its deltas."""

    text: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCall] = []
    tokens: list[TextToken] = []
    prompt_tokens: list[TextToken] = []
    finish: str = "stop"
    usage: Usage = Usage(prompt_tokens=0, completion_tokens=0)

    def add(self, delta: Delta) -> None:
        self.text += delta.text
        self.reasoning += delta.reasoning
        self.tool_calls.extend(delta.tool_calls)
        self.tokens.extend(delta.tokens)
        self.prompt_tokens.extend(delta.prompt_tokens)
        if delta.finish is not None:
            self.finish = str(delta.finish)
        if delta.usage is not None:
            self.usage = delta.usage


async def gather(streams: list[AsyncGenerator[Delta]]) -> list[Answer]:
    """Wait until every answer has ended; they are made side by side."""
    answers = [Answer() for _ in streams]
    async with aclosing(merge(streams)) as deltas:
        async for index, delta in deltas:
            answers[index].add(delta)
    return answers


def total(usages: list[Usage]) -> Usage:
    """The usage of several choices of one prompt: the prompt counts once."""
    return Usage(
        prompt_tokens=max((usage.prompt_tokens for usage in usages), default=0),
        completion_tokens=sum(usage.completion_tokens for usage in usages),
        cached_tokens=max((usage.cached_tokens for usage in usages), default=0),
    )


def usage_body(usage: Usage) -> dict[str, Any]:
    """Usage as both vendors' clients read it."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


async def merge(streams: list[AsyncGenerator[T]]) -> AsyncGenerator[tuple[int, T]]:
    """Items of several streams as they come, each with the number of its stream."""
    if len(streams) == 1:  # needs no task for each item
        async with aclosing(streams[0]) as only:
            async for item in only:
                yield 0, item
        return
    pending = {asyncio.ensure_future(anext(stream)): index for index, stream in enumerate(streams)}
    try:
        while pending:
            done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for step in done:
                index = pending.pop(step)
                try:
                    item = step.result()
                except StopAsyncIteration:
                    continue
                pending[asyncio.ensure_future(anext(streams[index]))] = index
                yield index, item
    finally:
        for step in pending:
            step.cancel()
        if pending:
            await asyncio.wait(pending)
        for stream in streams:
            await stream.aclose()


async def unless_disconnected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Run ``work``; cancel it when the client leaves.

    Raises:
        ClientLeft: nobody is there to read the answer.
    """
    mine = asyncio.current_task()
    watch: asyncio.Future[None] | None = None
    left = False

    def stop(_: "asyncio.Future[None]") -> None:
        nonlocal left
        left = True
        if mine is not None:
            mine.cancel()

    def look() -> None:
        nonlocal watch
        watch = asyncio.ensure_future(_disconnected(request))
        watch.add_done_callback(stop)

    timer = asyncio.get_running_loop().call_later(_SHORT_SECONDS, look)
    try:
        return await work
    except asyncio.CancelledError as e:
        if left and mine is not None and mine.uncancel() == 0:
            raise ClientLeft("The client closed the connection.") from e
        raise
    finally:
        timer.cancel()
        if watch is not None:
            watch.remove_done_callback(stop)
            watch.cancel()


def whole_response(body: dict[str, Any], headers: dict[str, str]) -> Response:
    """An answer that is not a stream."""
    return Response(msgspec.json.encode(body), headers=headers, media_type="application/json")


class ClientLeft(PonantError):
    """The client went away before the answer was complete; nobody reads this."""

    status = 499
    code = "client_closed_request"


async def _disconnected(request: Request) -> None:
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            return
