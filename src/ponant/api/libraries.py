"""Libraries over HTTP: made, filled, followed and searched."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from ponant.accounts import Principal, Role
from ponant.api import sse
from ponant.api.auth import Administrator, Caller, Member
from ponant.api.library_bodies import (
    change_body,
    document_body,
    library_body,
    page_of,
)
from ponant.api.platform import Platform, Services
from ponant.kit import PonantError
from ponant.kit.errors import Forbidden
from ponant.live.port import Library, SearchOptions

router = APIRouter(prefix="/v1/libraries", tags=["libraries"])

Page = Annotated[int, Query(ge=0, lt=2**31, description="Page, from 0.")]
PageSize = Annotated[int, Query(ge=1, le=1000, description="Entries on a page.")]
Search = Annotated[str | None, Query(description="Only names that contain this.")]


class LibraryBody(BaseModel):
    """The request of ``POST /v1/libraries``."""

    name: str
    description: str | None = None


class LibraryChangeBody(BaseModel):
    """The request of ``PUT`` and ``PATCH``; what is missing stays."""

    name: str | None = None
    description: str | None = None


class SourceBody(BaseModel):
    """The request of ``POST …/sources``."""

    kind: str = Field(description="Such as `folder`; see the guide to sources.")
    config: dict[str, Any] = Field(description='For a folder: {"path": "/…"}.')
    secrets: dict[str, str] | None = Field(
        default=None, description="Passwords and keys of the kind; kept, and never shown."
    )


class SearchBody(BaseModel):
    """The request of ``POST …/search``."""

    query: str
    limit: int = Field(default=10, lt=2**31, description="Most passages to return, up to 50.")
    mode: Literal["hybrid", "keyword", "vector"] = "hybrid"
    filters: dict[str, Any] | None = Field(
        default=None, description="Conditions on metadata, as OpenAI's vector stores have them."
    )
    neighbours: int = Field(default=0, ge=0, le=10, description="Passages around each to bring.")
    highlights: bool = Field(default=False, description="Tell where the query's words stand.")
    rerank: bool = Field(
        default=False, description="Let a cross-encoder order what was found, where one is here."
    )
    min_score: float | None = Field(
        default=None, description="Leave out hits below this similarity, or rerank score."
    )
    at_least: int | None = Field(
        default=None, ge=0, lt=2**63, description="Version of the library to wait for."
    )
    wait: float = Field(default=10.0, ge=0, le=30, description="Seconds to wait for it.")

    def options(self, library_id: str) -> SearchOptions:
        """How to search that library."""
        return SearchOptions(
            mode=self.mode,
            filters=self.filters,
            neighbours=self.neighbours,
            highlights=self.highlights,
            rerank=self.rerank,
            min_score=self.min_score,
            at_least={} if self.at_least is None else {library_id: self.at_least},
            wait=self.wait,
        )


@router.get("", summary="List libraries")
async def list_libraries(
    caller: Caller,
    services: Services,
    page: Page = 0,
    page_size: PageSize = 100,
    search: Search = None,
) -> dict[str, Any]:
    """The workspace's libraries, the oldest first."""
    libraries = await services.live.list_libraries(caller.scope)
    bodies = [library_body(one) for one in libraries if _matches(one.name, search)]
    return page_of(bodies, page, page_size)


@router.post("", status_code=201, summary="Make a library")
async def create_library(body: LibraryBody, caller: Member, services: Services) -> dict[str, Any]:
    """An empty library, which everybody in the workspace may search."""
    library = await services.live.create_library(
        caller.scope, body.name, body.description or "", caller.person_id
    )
    return library_body(library)


@router.post("/sample", status_code=201, summary="Make the sample library")
async def create_sample(caller: Member, services: Services) -> dict[str, Any]:
    """A library over a small folder that ships with Ponant, copied to where it may be edited."""
    sample = await services.live.create_sample(caller.scope, caller.person_id)
    return library_body(sample.library) | {"path": sample.path}


@router.get("/events", summary="Listen to changes")
async def events(caller: Caller, services: Services) -> StreamingResponse:
    """Server-sent events ``library.changed`` for the workspace, as changes are stored."""

    async def frames() -> AsyncGenerator[bytes]:
        async with aclosing(services.live.changes(caller.scope)) as changes:
            yield b": listening\n\n"
            async for change in changes:
                yield sse.frame(change_body(change), event="library.changed")

    return await sse.stream(frames(), _error_frame)


@router.get("/{library_id}", summary="Show a library")
async def show_library(library_id: str, caller: Caller, services: Services) -> dict[str, Any]:
    """A library and how it stands to its sources."""
    return library_body(await services.live.get_library(caller.scope, library_id))


@router.put("/{library_id}", summary="Change a library")
@router.patch("/{library_id}", summary="Change a library", include_in_schema=False)
async def update_library(
    library_id: str, body: LibraryChangeBody, caller: Member, services: Services
) -> dict[str, Any]:
    """Its name or description; its owner and administrators may."""
    await owned(library_id, caller, services)
    library = await services.live.update_library(
        caller.scope, library_id, body.name, body.description
    )
    return library_body(library)


@router.delete("/{library_id}", status_code=204, summary="Delete a library")
async def delete_library(library_id: str, caller: Member, services: Services) -> Response:
    """With its documents; folders that it followed stay. Its owner and administrators may."""
    await owned(library_id, caller, services, to_edit=False)
    await services.live.delete_library(caller.scope, library_id)
    return Response(status_code=204)


@router.get("/{library_id}/sources", summary="List sources")
async def list_sources(library_id: str, caller: Caller, services: Services) -> dict[str, Any]:
    """Where the library's documents come from, and what is seen there now."""
    sources = await services.live.list_sources(caller.scope, library_id)
    return {"object": "list", "data": [msgspec.to_builtins(one) for one in sources]}


@router.post("/{library_id}/sources", status_code=201, summary="Follow a source")
async def add_source(
    library_id: str, body: SourceBody, caller: Administrator, services: Services
) -> dict[str, Any]:
    """A folder inside the allowed roots (PONANT_LIVE_ROOTS), or another kind of place."""
    source = await services.live.add_source(
        caller.scope, library_id, body.kind, body.config, secrets=body.secrets
    )
    return _builtins(source)


@router.delete("/{library_id}/sources/{source_id}", status_code=204, summary="Stop following")
async def remove_source(
    library_id: str, source_id: str, caller: Administrator, services: Services
) -> Response:
    """What the source brought stops answering; its files stay as they are."""
    await services.live.remove_source(caller.scope, library_id, source_id)
    return Response(status_code=204)


@router.get("/{library_id}/documents", summary="List documents")
async def list_documents(
    library_id: str,
    caller: Caller,
    services: Services,
    page: Page = 0,
    page_size: PageSize = 100,
    search: Search = None,
) -> dict[str, Any]:
    """The library's documents by path."""
    documents = await services.live.list_documents(caller.scope, library_id)
    bodies = [document_body(one) for one in documents if _matches(one.name, search)]
    return page_of(bodies, page, page_size)


@router.post("/{library_id}/search", summary="Search a library")
async def search(
    library_id: str, body: SearchBody, caller: Caller, services: Services
) -> dict[str, Any]:
    """The passages that answer best, by keywords and by meaning, all of one version."""
    found = await services.live.search(
        caller.scope, [library_id], body.query, body.limit, body.options(library_id)
    )
    return {
        "object": "list",
        "data": [msgspec.to_builtins(hit) for hit in found.hits],
        "version": found.version,
        "as_of": found.as_of,
    }


@router.get("/{library_id}/questions", summary="Propose questions")
async def questions(library_id: str, caller: Caller, services: Services) -> dict[str, Any]:
    """Up to four questions that the library's documents answer."""
    return {"object": "list", "data": await services.live.questions(caller.scope, library_id)}


async def owned(
    library_id: str, caller: Principal, services: Platform, *, to_edit: bool = True
) -> Library:
    """A library that the caller may change.

    Args:
        to_edit: those whom it was shared with as editors may, too.

    Raises:
        Forbidden: somebody else's, and the caller is no administrator.
    """
    library = await services.live.get_library(caller.scope, library_id)
    if caller.role.covers(Role.ADMIN) or library.owner_id == caller.person_id:
        return library
    shares = services.accounts.shares
    if to_edit and await run_in_threadpool(shares.may_edit, caller, library_id):
        return library
    raise Forbidden("This library is somebody else's. Ask its owner or an administrator.")


def _matches(name: str, search: str | None) -> bool:
    return search is None or search.casefold() in name.casefold()


def _builtins(struct: msgspec.Struct) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(struct)
    return body


def _error_frame(error: PonantError) -> bytes:
    return sse.frame({"message": error.message, "code": error.status}, event="error")
