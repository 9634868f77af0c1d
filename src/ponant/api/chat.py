"""Chat completions, as OpenAI and Mistral define them."""

from functools import partial

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from ponant.api import sse
from ponant.api.auth import Member
from ponant.api.chat_response import ChatResponse
from ponant.api.chat_schemas import ChatBody
from ponant.api.errors import error_frame
from ponant.api.generation import (
    cache_scope,
    check_capabilities,
    response_head,
    unless_disconnected,
    whole_response,
)
from ponant.api.platform import Services
from ponant.api.routing import GeneratingRoute
from ponant.billing import metered, most_tokens

router = APIRouter(tags=["chat"], route_class=GeneratingRoute)


@router.post("/v1/chat/completions", summary="Answer a chat")
async def create(
    body: ChatBody,
    request: Request,
    caller: Member,
    services: Services,
) -> Response:
    """Answer a list of messages, whole or as a stream of server-sent events.

    Any order of roles is accepted. Parameters that have no effect are named in the response header
    ``x-ponant-ignored-parameters``. A prompt that does not fit is refused, never shortened.
    """
    model = await services.models.get(body.model, caller.scope)
    scope = cache_scope(caller)
    # A large schema takes a while to check; the check is kept for the other choices.
    if body.response_format or body.tools:
        first = await run_in_threadpool(body.chat_request, scope)
    else:
        first = body.chat_request(scope)
    requests = [first, *(body.for_choice(n).chat_request(scope) for n in range(1, body.choices))]
    card = model.card
    check_capabilities(card, requests[0].controls)
    head = response_head("chatcmpl", body.model, services.clock)
    choices = [
        metered(
            model.chat(asked),
            caller,
            card.id,
            services.ledger,
            most=partial(most_tokens, card, asked),
        )
        for asked in requests
    ]
    response = ChatResponse(head, choices, logprobs=bool(body.logprobs))
    if body.stream:
        return await sse.stream(response.frames(), error_frame, body.ignored_header())
    whole = await unless_disconnected(request, response.body())
    return whole_response(whole, body.ignored_header())
