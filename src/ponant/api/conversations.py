"""Conversations, in the shapes of Mistral's client; an answer goes on when its reader leaves."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse, Response

from ponant.api import conversation_wire as wire
from ponant.api import sse
from ponant.api.auth import Caller, Member
from ponant.api.conversation_schemas import AppendBody, AskFields, RestartBody, StartBody
from ponant.api.platform import Services
from ponant.assistant import Event, Failed, Run

router = APIRouter(prefix="/v1/conversations", tags=["conversations"])

ConversationId = Annotated[str, Path(description="The conversation, such as conv_01jd….")]


@router.post("", summary="Start a conversation")
async def start(body: StartBody, caller: Member, services: Services) -> Response:
    """Begin a conversation and answer its first message.

    With the tool ``document_library`` the answer rests on the passages of those libraries: a
    number stands behind each sentence that one bears out, and where none does, it says so.
    """
    run = await services.assistant.start(caller, body.setup(), body.ask())
    return await _respond(run, body)


@router.get("", summary="List conversations")
async def list_conversations(
    caller: Caller,
    services: Services,
    page: Annotated[int, Query(ge=0, lt=2**31)] = 0,
    page_size: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[dict[str, Any]]:
    """The caller's own, the latest first."""
    found = await services.assistant.list(caller, page, page_size)
    return [wire.conversation(one) for one in found]


@router.get("/{conversation_id}", summary="Show a conversation")
async def show(
    conversation_id: ConversationId, caller: Caller, services: Services
) -> dict[str, Any]:
    """What a conversation is; its history says what was said."""
    return wire.conversation(await services.assistant.get(caller, conversation_id))


@router.post("/{conversation_id}", summary="Continue a conversation")
async def append(
    conversation_id: ConversationId, body: AppendBody, caller: Member, services: Services
) -> Response:
    """Put messages into a conversation and answer the last."""
    held = await services.assistant.get(caller, conversation_id)
    ask = body.ask(held.completion_args)
    run = await services.assistant.append(caller, conversation_id, ask)
    return await _respond(run, body)


@router.delete("/{conversation_id}", status_code=204, summary="Delete a conversation")
async def delete(conversation_id: ConversationId, caller: Caller, services: Services) -> Response:
    """Remove a conversation and all that was said in it."""
    await services.assistant.delete(caller, conversation_id)
    return Response(status_code=204)


@router.get("/{conversation_id}/history", summary="Show what was said and searched")
async def history(
    conversation_id: ConversationId, caller: Caller, services: Services
) -> dict[str, Any]:
    """Every entry; an answer keeps ids and hashes of the passages that it cites."""
    entries = await services.assistant.history(caller, conversation_id)
    return {
        "object": "conversation.history",
        "conversation_id": conversation_id,
        "entries": [wire.entry(one) for one in entries],
    }


@router.get("/{conversation_id}/messages", summary="Show what was said")
async def messages(
    conversation_id: ConversationId, caller: Caller, services: Services
) -> dict[str, Any]:
    """The messages alone."""
    entries = await services.assistant.messages(caller, conversation_id)
    return {
        "object": "conversation.messages",
        "conversation_id": conversation_id,
        "messages": [wire.entry(one) for one in entries],
    }


@router.post("/{conversation_id}/restart", summary="Answer again")
async def restart(
    conversation_id: ConversationId, body: RestartBody, caller: Member, services: Services
) -> Response:
    """Answer anew from an entry on, in a new conversation and with what the libraries say now."""
    held = await services.assistant.get(caller, conversation_id)
    ask = body.ask(held.completion_args)
    run = await services.assistant.restart(caller, conversation_id, body.from_entry_id, ask)
    return await _respond(run, body)


@router.get("/{conversation_id}/events", summary="Read an answer on")
async def events(
    conversation_id: ConversationId,
    caller: Caller,
    services: Services,
    after: Annotated[int, Query(ge=0, description="Number of the last event seen.")] = 0,
) -> Response:
    """The events of the answer being given, or given last, for a reader who lost its place."""
    run = services.assistant.running(caller, conversation_id)
    told = services.assistant.follow(caller, run, after)
    return await sse.stream(_frames(told), wire.error_frame)


@router.post("/{conversation_id}/stop", status_code=204, summary="Stop an answer")
async def stop(conversation_id: ConversationId, caller: Caller, services: Services) -> Response:
    """End the answer being given; what was said until now is kept."""
    await services.assistant.get(caller, conversation_id)
    await services.assistant.stop(caller, conversation_id)
    return Response(status_code=204)


async def _respond(run: Run, body: AskFields) -> Response:
    headers = body.ignored_header()
    if body.stream:
        return await sse.stream(_frames(run.follow()), wire.error_frame, headers)
    async with aclosing(run.follow()) as followed:
        told = [event async for _, event in followed]
    if isinstance(told[-1], Failed):
        raise told[-1].fault
    return JSONResponse(wire.response(run.conversation_id, told), headers=headers)


async def _frames(told: AsyncGenerator[tuple[int, Event]]) -> AsyncGenerator[bytes]:
    async with aclosing(told) as followed:
        async for number, event in followed:
            yield wire.frame(number, event)
