"""Watches over HTTP: questions kept answered, and what happens to them as it happens."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Header, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from ponant.accounts import Principal
from ponant.api import sse
from ponant.api.auth import Caller, Member
from ponant.api.errors import error_frame
from ponant.api.platform import Platform, Services
from ponant.assistant.watches import Setup, Watch, WatchEvent, withholding
from ponant.assistant.watches.bodies import event_body, watch_body
from ponant.assistant.watches.schemas import (
    DAILY_CALLS,
    EVERY_SECONDS,
    MOST_APART,
    MOST_DAILY_CALLS,
    MOST_SETTLING,
    SETTLE_SECONDS,
)
from ponant.kit.errors import Unauthorized

router = APIRouter(prefix="/v1/watches", tags=["watches"])

_LONGEST_QUERY = 4000
_MOST_LIBRARIES = 20


class WatchBody(BaseModel):
    """The request of ``POST /v1/watches``."""

    kind: Literal["question", "search", "sql"] = "question"
    query: str = Field(min_length=1, max_length=_LONGEST_QUERY, description="What to keep asking.")
    name: str = Field(default="", max_length=200)
    model: str = Field(default="starter", description="Which model answers a question.")
    library_ids: list[str] = Field(
        default=[], max_length=_MOST_LIBRARIES, description="Where to look; none for `sql`."
    )
    limit: int = Field(default=8, ge=1, le=16, description="Passages to answer from, at most.")
    settle: float = Field(
        default=SETTLE_SECONDS,
        ge=0,
        le=MOST_SETTLING,
        description="Seconds from the first change to the answer, in which others join it.",
    )
    every: float = Field(
        default=EVERY_SECONDS, ge=0, le=MOST_APART, description="Seconds between two answers."
    )
    daily_calls: int = Field(
        default=DAILY_CALLS, ge=1, le=MOST_DAILY_CALLS, description="Model requests in a day (UTC)."
    )
    webhook: str | None = Field(default=None, max_length=2000, description="Address to tell.")

    def setup(self) -> Setup:
        """What the watch is to be."""
        given = self.model_dump() | {"library_ids": tuple(self.library_ids)}
        return Setup(**given)


class WatchChangeBody(BaseModel):
    """The request of ``PATCH``; what is missing stays."""

    query: str | None = Field(default=None, min_length=1, max_length=_LONGEST_QUERY)
    name: str | None = Field(default=None, max_length=200)
    model: str | None = None
    library_ids: list[str] | None = Field(default=None, min_length=1, max_length=_MOST_LIBRARIES)
    limit: int | None = Field(default=None, ge=1, le=16)
    settle: float | None = Field(default=None, ge=0, le=MOST_SETTLING)
    every: float | None = Field(default=None, ge=0, le=MOST_APART)
    daily_calls: int | None = Field(default=None, ge=1, le=MOST_DAILY_CALLS)
    webhook: str | None = Field(default=None, max_length=2000, description="Empty for none.")
    new_secret: bool = Field(default=False, description="Sign with another secret from now on.")

    def setup(self, before: Setup) -> Setup:
        """The setup with what was given."""
        given = self.model_dump(exclude_none=True, exclude={"new_secret"})
        if "library_ids" in given:
            given["library_ids"] = tuple(given["library_ids"])
        if given.get("webhook") == "":
            given["webhook"] = None
        return msgspec.structs.replace(before, **given)


@router.post("", status_code=201, summary="Watch a question")
async def create(body: WatchBody, caller: Member, services: Services) -> dict[str, Any]:
    """Keep a question answered. Its first answer follows, as an event.

    ``secret`` signs what the webhook is sent (Standard Webhooks), and is shown this once.
    """
    watch, secret = await services.watches.create(caller, body.setup())
    return await _shown(services, caller, watch) | ({"secret": secret} if secret else {})


@router.get("", summary="List watches")
async def list_watches(caller: Caller, services: Services) -> dict[str, Any]:
    """The caller's own, the oldest first."""
    found = await services.watches.list(caller)
    shown = await withholding.shown(services.live, caller.scope, found)
    return {"object": "list", "data": [watch_body(one) for one in shown]}


@router.get("/events", summary="Listen to watches")
async def follow(
    caller: Caller,
    services: Services,
    last_event_id: Annotated[int | None, Header(ge=0)] = None,
    after: Annotated[int | None, Query(ge=0, description="Number of the last event seen.")] = None,
) -> StreamingResponse:
    """Server-sent events of the caller's watches; a reader who was away names the last it saw.

    The events are ``watch.answered``, ``watch.changed``, ``watch.stands`` (the evidence moved, the
    answer did not), ``watch.paused`` and ``watch.resumed``.
    """
    seen = last_event_id if last_event_id is not None else after

    async def frames() -> AsyncGenerator[bytes]:
        async with aclosing(await services.watches.follow(caller, seen)) as events:
            yield b": listening\n\n"
            async for event in events:
                shown = await _now(services, caller, event)
                yield sse.frame(
                    event_body(shown), event=f"watch.{event.happening}", number=event.number
                )

    return await sse.stream(frames(), error_frame)


@router.get("/{watch_id}", summary="Show a watch")
async def show(watch_id: str, caller: Caller, services: Services) -> dict[str, Any]:
    """A watch with its present answer."""
    return await _shown(services, caller, await services.watches.get(caller, watch_id))


@router.patch("/{watch_id}", summary="Change a watch")
async def update(
    watch_id: str, body: WatchChangeBody, caller: Member, services: Services
) -> dict[str, Any]:
    """What it asks, how often, and whom it tells; another question is answered anew."""
    before = await services.watches.get(caller, watch_id)
    watch, secret = await services.watches.update(
        caller, watch_id, body.setup(before.setup), new_secret=body.new_secret
    )
    return await _shown(services, caller, watch) | ({"secret": secret} if secret else {})


@router.delete("/{watch_id}", status_code=204, summary="Delete a watch")
async def delete(watch_id: str, caller: Caller, services: Services) -> Response:
    """With all that happened to it."""
    await services.watches.delete(caller, watch_id)
    return Response(status_code=204)


@router.post("/{watch_id}/pause", summary="Pause a watch")
async def pause(watch_id: str, caller: Caller, services: Services) -> dict[str, Any]:
    """Let it rest until it is resumed."""
    return await _shown(services, caller, await services.watches.pause(caller, watch_id))


@router.post("/{watch_id}/resume", summary="Resume a watch")
async def resume(watch_id: str, caller: Member, services: Services) -> dict[str, Any]:
    """Go on, with the permissions of the key that asks for it."""
    return await _shown(services, caller, await services.watches.resume(caller, watch_id))


@router.get("/{watch_id}/events", summary="Show what happened")
async def events(
    watch_id: str,
    caller: Caller,
    services: Services,
    before: Annotated[int | None, Query(ge=1, description="Only events before this one.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> dict[str, Any]:
    """What happened to a watch, the latest first: old answer, new answer, passages that moved."""
    found = await services.watches.events(caller, watch_id, before=before, limit=limit)
    shown = await withholding.shown(services.live, caller.scope, found)
    return {"object": "list", "data": [event_body(one) for one in shown]}


@router.get("/{watch_id}/deliveries", summary="Show deliveries")
async def deliveries(watch_id: str, caller: Caller, services: Services) -> dict[str, Any]:
    """How the webhook was told of each event: ``due``, ``done``, or ``dead`` with the error."""
    found = await services.watches.deliveries(caller, watch_id)
    return {"object": "list", "data": [msgspec.to_builtins(one) for one in found]}


async def _now(services: Platform, caller: Principal, event: WatchEvent) -> WatchEvent:
    """An event as its owner, who may have listened for days, may see it at this moment."""
    found = await run_in_threadpool(services.accounts.directory.member, caller)
    if found is None:
        raise Unauthorized("You are no member of this workspace any more.")
    (shown,) = await withholding.shown(services.live, found.scope, [event])
    return shown


async def _shown(services: Platform, caller: Principal, watch: Watch) -> dict[str, Any]:
    """A watch as its owner may see it now."""
    (shown,) = await withholding.shown(services.live, caller.scope, [watch])
    return watch_body(shown)
