"""Live tables over HTTP: shown, asked in SQL, and pushed to."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from ponant.accounts import Principal
from ponant.api.auth import Administrator, Caller, Member
from ponant.api.platform import Platform, Services
from ponant.assistant.watches.schemas import ID_PREFIX
from ponant.kit.errors import NotFound
from ponant.live.access import TableAccess

router = APIRouter(prefix="/v1/tables", tags=["tables"])
inboxes = APIRouter(prefix="/v1/inboxes", tags=["tables"])

_MOST_ITEMS = 10_000
_MOST_MARKS = 1000


class QueryBody(BaseModel):
    """The request of ``POST /v1/tables/query``."""

    sql: str = Field(description="One SELECT, in DuckDB's SQL.")
    parameters: list[Any] | dict[str, Any] | None = Field(
        default=None, description="A list for `?` and `$1`, or an object for `$name`."
    )
    limit: int = Field(default=100, ge=1, le=10_000, description="Most rows to return.")


class AccessBody(BaseModel):
    """The request of ``PUT /v1/tables/{name}/access``."""

    access: Annotated[list[str], Field(max_length=_MOST_MARKS)] | None = Field(
        description="`person:<id>`, `email:<address>` and `group:<name>`; an empty list lets "
        "nobody in, null everybody in the workspace."
    )


class PushBody(BaseModel):
    """The request of ``POST /v1/inboxes/{name}``."""

    items: list[dict[str, Any]] = Field(
        max_length=_MOST_ITEMS, description="What the pipeline takes, one after the other."
    )


@router.get("", summary="List tables")
async def list_tables(caller: Caller, services: Services) -> dict[str, Any]:
    """Tables, views, windows and standing queries that SQL may ask, with their columns."""
    return {"object": "list", "data": await shown_tables(services, caller)}


@router.post("/query", summary="Ask tables in SQL")
async def query(body: QueryBody, caller: Caller, services: Services) -> Response:
    """The rows that one SELECT answers, all of one version of the workspace's tables."""
    answer = await services.live.relations.query(
        caller.scope, body.sql, body.parameters, body.limit
    )
    return Response(msgspec.json.encode(answer), media_type="application/json")


@router.get("/changes", summary="List changes of standing queries")
async def changes(
    caller: Caller,
    services: Services,
    after: Annotated[int, Query(ge=0, description="Number of the last change seen.")] = 0,
    query: Annotated[str | None, Query(description="One standing query alone.")] = None,
    wait: Annotated[float, Query(ge=0, le=30, description="Seconds to wait for the first.")] = 0,
) -> Response:
    """Rows added, removed and changed in the results, the oldest change first."""
    found = await services.live.relations.changes(caller.scope, after, query, wait)
    found = [change for change in found if not _is_watch(change.query)]
    body = msgspec.json.encode({"object": "list", "data": found})
    return Response(body, media_type="application/json")


@router.get("/access", summary="Show who may ask what")
async def list_access(caller: Administrator, services: Services) -> dict[str, Any]:
    """Every table, view and window with its list; names alone, of those that are closed to them."""
    found = await services.live.relations.readers(caller.scope)
    return {"object": "list", "data": msgspec.to_builtins(found)}


@router.put("/{name}/access", summary="Say who may ask a table")
async def set_access(
    name: str, body: AccessBody, caller: Administrator, services: Services
) -> dict[str, Any]:
    """From the next question on, whatever its pipeline says; a view rests on its tables' lists."""
    made = await services.live.relations.set_readers(caller.scope, name, body.access)
    return await _noted(services, caller, "table.access.set", made)


@router.delete("/{name}/access", summary="Let the pipeline say who may ask a table")
async def release_access(name: str, caller: Administrator, services: Services) -> dict[str, Any]:
    """What its pipeline declares counts again; without a list there, everybody may ask it."""
    made = await services.live.relations.release_readers(caller.scope, name)
    return await _noted(services, caller, "table.access.release", made)


@router.get("/{name}", summary="Show a table")
async def show_table(name: str, caller: Caller, services: Services) -> dict[str, Any]:
    """Its columns, its rows' number, and the rows that came too late for a window."""
    if _is_watch(name):
        raise NotFound(f"There is no table {name}. List the tables to see which exist.")
    body: dict[str, Any] = msgspec.to_builtins(
        await services.live.relations.describe(caller.scope, name)
    )
    return body


@inboxes.post("/{name}", status_code=202, summary="Push to a pipeline")
async def push(name: str, body: PushBody, caller: Member, services: Services) -> dict[str, int]:
    """Items for a pipeline that declares `live.push(name)`; they are on disk when this answers."""
    last = await services.live.relations.push(caller.scope, name, body.items)
    return {"accepted": len(body.items), "last": last}


async def shown_tables(services: Platform, caller: Principal) -> list[dict[str, Any]]:
    """What the caller may ask, without the queries that keep somebody's watches."""
    found = await services.live.relations.tables(caller.scope)
    shown: list[dict[str, Any]] = msgspec.to_builtins(
        [table for table in found if not _is_watch(table.name)]
    )
    return shown


async def _noted(
    services: Platform, caller: Principal, action: str, made: TableAccess
) -> dict[str, Any]:
    detail = {"access": None if made.access is None else list(made.access)}
    note = services.accounts.directory.note
    await run_in_threadpool(note, caller, action, made.name, detail)
    body: dict[str, Any] = msgspec.to_builtins(made)
    return body


def _is_watch(name: str) -> bool:
    """Whether a standing query keeps somebody's watch, which is theirs alone."""
    return name.startswith(f"{ID_PREFIX}_")
