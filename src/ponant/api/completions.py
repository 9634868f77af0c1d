"""Legacy completions: a prompt continued as it stands."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any, cast

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import Field

from ponant.accounts import Principal
from ponant.api import sse
from ponant.api.auth import Member
from ponant.api.errors import error_frame
from ponant.api.fields import Items, Text, TokenId
from ponant.api.generation import (
    Answer,
    GenerationFields,
    ResponseFormat,
    cache_scope,
    check_capabilities,
    gather,
    merge,
    response_head,
    total,
    unless_disconnected,
    usage_body,
    whole_response,
)
from ponant.api.logprobs import completion_logprobs
from ponant.api.platform import Platform, Services
from ponant.api.routing import GeneratingRoute
from ponant.billing import metered, most_tokens
from ponant.engine import Usage
from ponant.kit.errors import BadRequest
from ponant.serving.port import CompletionRequest, Controls, Delta, TextModel

router = APIRouter(tags=["completions"], route_class=GeneratingRoute)

_MOST_PROMPTS = 64
_MOST_CHOICES = 128
Prompt = str | list[int]


class CompletionBody(GenerationFields):
    """The request of ``POST /v1/completions``."""

    prompt: Text | Items[Text] | Items[TokenId] | Items[Items[TokenId]] = ""
    suffix: Text | None = None
    echo: bool = False
    logprobs: int | None = Field(default=None, ge=0, le=20)
    prompt_logprobs: int | None = Field(default=None, ge=0, le=20)
    response_format: ResponseFormat | None = None

    def prompts(self) -> list[Prompt]:
        """The prompts, one or several.

        Raises:
            BadRequest: there are none, or too many.
        """
        if isinstance(self.prompt, str):
            return [self.prompt]
        if not self.prompt:
            raise BadRequest("The prompt is empty. Give it some text.", param="prompt")
        if isinstance(self.prompt[0], int):
            return [self.prompt]
        if len(self.prompt) > _MOST_PROMPTS:
            raise BadRequest(
                f"At most {_MOST_PROMPTS} prompts fit one request. Send several.", param="prompt"
            )
        return cast("list[Prompt]", self.prompt)

    def completion_request(self, prompt: Prompt, scope: str) -> CompletionRequest:
        echoed = self.logprobs if self.echo else None
        form = self.response_format
        return CompletionRequest(
            prompt=prompt,
            suffix=self.suffix,
            controls=Controls(
                sampling=self.sampling(),
                max_tokens=16 if self.max_tokens is None else self.max_tokens,
                min_tokens=self.min_tokens or 0,
                stop=self.stop,
                grammar=form.source() if form else None,
                logprobs=self.logprobs,
                prompt_logprobs=echoed if echoed is not None else self.prompt_logprobs,
                cache_scope=scope,
                owner=scope,
                priority=self.priority,
            ),
        )


@router.post("/v1/completions", summary="Continue a prompt")
async def create(
    body: CompletionBody,
    request: Request,
    caller: Member,
    services: Services,
) -> Response:
    """Continue one or several prompts, as text or token ids; ``echo`` gives the prompt back.

    With ``echo`` and ``logprobs`` the prompt's own tokens are scored, which evaluation harnesses
    use; ``max_tokens`` 0 then generates nothing. ``max_tokens`` is 16 where none is given.
    """
    model = await services.models.get(body.model, caller.scope)
    work = _Completion(body, model, caller, services)
    if body.response_format:  # a large schema takes a while to check; the check is kept
        sample = await run_in_threadpool(body.completion_request, "", "")
    else:
        sample = body.completion_request("", "")
    check_capabilities(model.card, sample.controls)
    if body.stream:
        return await sse.stream(work.frames(), error_frame, body.ignored_header())
    whole = await unless_disconnected(request, work.body())
    return whole_response(whole, body.ignored_header())


class _Completion:
    """One request to continue prompts: choices run side by side, numbered prompt by prompt."""

    def __init__(
        self, body: CompletionBody, model: TextModel, caller: Principal, services: Platform
    ) -> None:
        self._body = body
        self._model = model
        self._caller = caller
        self._services = services
        self._prompts = [prompt for prompt in body.prompts() for _ in range(body.choices)]
        if len(self._prompts) > _MOST_CHOICES:
            raise BadRequest(
                f"These are {len(self._prompts)} answers, and one request makes at most "
                f"{_MOST_CHOICES}. Send fewer prompts at once, or a smaller n.",
                param="n",
            )
        self._head = response_head("cmpl", body.model, services.clock) | {
            "object": "text_completion"
        }

    def _streams(self) -> list[AsyncGenerator[Delta]]:
        scope = cache_scope(self._caller)
        requests = [
            self._body.for_choice(index % self._body.choices).completion_request(prompt, scope)
            for index, prompt in enumerate(self._prompts)
        ]
        return [
            metered(
                self._model.complete(request),
                self._caller,
                self._model.card.id,
                self._services.ledger,
                most=partial(most_tokens, self._model.card, request),
            )
            for request in requests
        ]

    async def body(self) -> dict[str, Any]:
        answers = await gather(self._streams())
        choices = [self._choice(index, answer) for index, answer in enumerate(answers)]
        usage = usage_body(_total_of_prompts(answers, self._body.choices))
        return self._head | {"choices": choices, "usage": usage}

    def _choice(self, index: int, answer: Answer) -> dict[str, Any]:
        echoed = self._echo(index) if self._body.echo else ""
        tokens = (answer.prompt_tokens if self._body.echo else []) + answer.tokens
        scored = self._body.logprobs is not None
        return {
            "index": index,
            "text": echoed + answer.text,
            "finish_reason": answer.finish,
            "logprobs": completion_logprobs(tokens) if scored else None,
        }

    def _echo(self, index: int) -> str:
        prompt = self._prompts[index]
        if not isinstance(prompt, str):
            raise BadRequest(
                "echo needs the prompt as text, not as token ids. Send text.", param="echo"
            )
        return prompt

    async def frames(self) -> AsyncGenerator[bytes]:
        usages: list[Usage] = []
        offsets = [0] * len(self._prompts)
        if self._body.echo:
            for index in range(len(self._prompts)):
                echoed = self._echo(index)
                offsets[index] = len(echoed)
                yield self._chunk([_piece(index, echoed, None, None)])
        async with aclosing(merge(self._streams())) as deltas:
            async for index, delta in deltas:
                if delta.usage is not None:
                    usages.append(delta.usage)
                scored = self._body.logprobs is not None and delta.tokens
                logprobs = completion_logprobs(delta.tokens, offsets[index]) if scored else None
                offsets[index] += len(delta.text)
                yield self._chunk([_piece(index, delta.text, delta.finish, logprobs)])
        yield sse.frame(self._head | {"choices": [], "usage": usage_body(total(usages))})
        yield sse.frame("[DONE]")

    def _chunk(self, choices: list[dict[str, Any]]) -> bytes:
        return sse.frame(self._head | {"choices": choices})


def _total_of_prompts(answers: list[Answer], choices: int) -> Usage:
    """The usage of several prompts with several choices each."""
    totals = [
        total([answer.usage for answer in answers[start : start + choices]])
        for start in range(0, len(answers), choices)
    ]
    return Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in totals),
        completion_tokens=sum(usage.completion_tokens for usage in totals),
        cached_tokens=sum(usage.cached_tokens for usage in totals),
    )


def _piece(
    index: int, text: str, finish: str | None, logprobs: dict[str, Any] | None
) -> dict[str, Any]:
    return {"index": index, "text": text, "finish_reason": finish, "logprobs": logprobs}
