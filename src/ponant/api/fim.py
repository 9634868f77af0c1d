"""Fill-in-the-middle, as Mistral defines it: what stands between a prompt and a suffix."""

from functools import partial

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ponant.api import sse
from ponant.api.auth import Member
from ponant.api.chat_response import ChatResponse
from ponant.api.errors import error_frame
from ponant.api.fields import Text
from ponant.api.generation import (
    GenerationFields,
    cache_scope,
    check_capabilities,
    response_head,
    unless_disconnected,
    whole_response,
)
from ponant.api.platform import Services
from ponant.api.routing import GeneratingRoute
from ponant.billing import metered, most_tokens
from ponant.kit.errors import BadRequest
from ponant.serving.port import CompletionRequest, Controls

router = APIRouter(tags=["completions"], route_class=GeneratingRoute)


class FimBody(GenerationFields):
    """The request of ``POST /v1/fim/completions``."""

    prompt: Text
    suffix: Text | None = None

    def completion_request(self, scope: str) -> CompletionRequest:
        return CompletionRequest(
            prompt=self.prompt,
            suffix=self.suffix or "",
            controls=Controls(
                sampling=self.sampling(),
                max_tokens=self.max_tokens,
                min_tokens=self.min_tokens or 0,
                stop=self.stop,
                cache_scope=scope,
                owner=scope,
                priority=self.priority,
            ),
        )


@router.post("/v1/fim/completions", summary="Fill in the middle")
async def create(
    body: FimBody,
    request: Request,
    caller: Member,
    services: Services,
) -> Response:
    """Write what stands between ``prompt`` and ``suffix``; the answer has the shape of a chat."""
    model = await services.models.get(body.model, caller.scope)
    if not model.card.fim:
        raise BadRequest(
            f"The model {model.card.id} cannot fill in the middle. Choose one whose card says "
            "completion_fim.",
            param="model",
        )
    scope = cache_scope(caller)
    requests = [body.for_choice(index).completion_request(scope) for index in range(body.choices)]
    check_capabilities(model.card, requests[0].controls)
    head = response_head("cmpl", body.model, services.clock)
    choices = [
        metered(
            model.complete(asked),
            caller,
            model.card.id,
            services.ledger,
            most=partial(most_tokens, model.card, asked),
        )
        for asked in requests
    ]
    response = ChatResponse(head, choices)
    if body.stream:
        return await sse.stream(response.frames(), error_frame, body.ignored_header())
    whole = await unless_disconnected(request, response.body())
    return whole_response(whole, body.ignored_header())
