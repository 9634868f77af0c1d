"""OpenAI's vector stores over libraries: the same documents, read and searched by either name.

A vector store is a library, and has its id. A file in it is a document: one that was put there by
this door has the file's id, any other the document's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from ponant.accounts import Principal
from ponant.api import vector_store_bodies as bodies
from ponant.api.auth import Caller, Member
from ponant.api.cursors import After, Before, Limit, Order, page_after
from ponant.api.fields import Metadata, ignored_header
from ponant.api.libraries import owned
from ponant.api.platform import Platform, Services
from ponant.api.vector_store_files import FileBody, attach, documents
from ponant.kit.errors import BadRequest
from ponant.live.port import Library, SearchOptions, SearchResult

router = APIRouter(prefix="/v1/vector_stores", tags=["vector stores"])

_MOST_FILES = 500
_MOST_QUERIES = 8
_TRIES = 5  # to have several queries answered from one version


class StoreBody(BaseModel):
    """The request of ``POST /v1/vector_stores``."""

    model_config = ConfigDict(extra="allow")

    name: str | None = None
    description: str | None = None
    file_ids: Annotated[list[str], Field(max_length=_MOST_FILES)] = []
    metadata: Metadata | None = None


class StoreChangeBody(BaseModel):
    """The request of ``POST /v1/vector_stores/{id}``; what is missing stays."""

    model_config = ConfigDict(extra="allow")

    name: str | None = None
    metadata: Metadata | None = None


class RankingOptions(BaseModel):
    """How results are ordered."""

    model_config = ConfigDict(extra="ignore")

    ranker: str = "auto"
    score_threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None


class StoreSearchBody(BaseModel):
    """The request of ``POST /v1/vector_stores/{id}/search``."""

    model_config = ConfigDict(extra="allow")

    query: str | Annotated[list[str], Field(min_length=1, max_length=_MOST_QUERIES)]
    filters: Metadata | None = None
    max_num_results: int = Field(default=10, ge=1, le=50)
    ranking_options: RankingOptions = RankingOptions()
    rewrite_query: bool = False


@router.post("", summary="Make a vector store")
async def create(
    body: StoreBody, response: Response, caller: Member, services: Services
) -> dict[str, Any]:
    """A library, with the files that are named put into it."""
    library = await services.live.create_library(
        caller.scope, body.name or "Vector store", body.description or "", caller.person_id
    )
    details = {"metadata": body.metadata or {}}
    await run_in_threadpool(services.shelves.set_details, caller.scope, library.id, details)
    for file_id in body.file_ids:
        await attach(services, caller, library.id, FileBody(file_id=file_id))
    response.headers.update(ignored_header(body.model_extra))
    return await _shown(services, caller, library.id)


@router.get("", summary="List vector stores")
async def list_stores(
    caller: Caller,
    services: Services,
    after: After = None,
    before: Before = None,
    limit: Limit = 20,
    order: Order = "desc",
) -> dict[str, Any]:
    """Every library of the workspace is one."""
    libraries = await services.live.list_libraries(caller.scope)
    details = await run_in_threadpool(services.shelves.details, caller.scope)
    found = [bodies.store(one, details.get(one.id, {}), None) for one in libraries]
    return page_after(found, after, limit, order, before=before)


@router.get("/{store_id}", summary="Show a vector store")
async def show(store_id: str, caller: Caller, services: Services) -> dict[str, Any]:
    """A library, and how many of its files are ready."""
    return await _shown(services, caller, store_id)


@router.post("/{store_id}", summary="Change a vector store")
async def update(
    store_id: str, body: StoreChangeBody, response: Response, caller: Member, services: Services
) -> dict[str, Any]:
    """Its name or metadata; its owner and administrators may."""
    await owned(store_id, caller, services)
    if body.name is not None:
        await services.live.update_library(caller.scope, store_id, body.name)
    if body.metadata is not None:
        details = {"metadata": body.metadata}
        await run_in_threadpool(services.shelves.set_details, caller.scope, store_id, details)
    response.headers.update(ignored_header(body.model_extra))
    return await _shown(services, caller, store_id)


@router.delete("/{store_id}", summary="Delete a vector store")
async def delete(store_id: str, caller: Member, services: Services) -> dict[str, Any]:
    """The library with its documents; uploaded files stay. Its owner and administrators may."""
    await owned(store_id, caller, services, to_edit=False)
    await services.live.delete_library(caller.scope, store_id)
    await run_in_threadpool(services.shelves.forget, caller.scope, store_id)
    return {"id": store_id, "object": "vector_store.deleted", "deleted": True}


@router.post("/{store_id}/search", summary="Search a vector store")
async def search(
    store_id: str, body: StoreSearchBody, response: Response, caller: Caller, services: Services
) -> dict[str, Any]:
    """The passages that answer best, filtered by attributes; several queries at once, too."""
    queries = [body.query] if isinstance(body.query, str) else body.query
    if not any(query.strip() for query in queries):
        raise BadRequest("The query is empty. Say what to look for.", param="query")
    options = SearchOptions(filters=body.filters, min_score=body.ranking_options.score_threshold)
    found = await _of_one_version(
        lambda: asyncio.gather(
            *(
                services.live.search(caller.scope, [store_id], query, body.max_num_results, options)
                for query in queries
            )
        )
    )
    hits = {hit.passage_id: hit for result in found for hit in result.hits}
    best = sorted(hits.values(), key=lambda hit: -hit.score)[: body.max_num_results]
    attached = await run_in_threadpool(services.shelves.attached, caller.scope, store_id)
    names = {one.document_id: one.file_id for one in attached}
    response.headers.update(ignored_header(body.model_extra))
    return bodies.results(queries, best, names)


async def _of_one_version(
    ask: Callable[[], Awaitable[Sequence[SearchResult]]],
) -> Sequence[SearchResult]:
    """What several queries found, without passages of two versions of a document.

    They are asked again where the library moved between them. Where it always does, those that
    saw the newest version answer alone.
    """
    for _ in range(_TRIES):
        found = await ask()
        if len({one.version for one in found}) <= 1:
            return found
    newest = max(one.version for one in found)
    return [one for one in found if one.version == newest]


async def _shown(services: Platform, caller: Principal, store_id: str) -> dict[str, Any]:
    library: Library = await services.live.get_library(caller.scope, store_id)
    details = await run_in_threadpool(services.shelves.details, caller.scope)
    states = [one.state for one, _ in await documents(services, caller, store_id)]
    return bodies.store(library, details.get(store_id, {}), states)
