"""Where documents come from, over HTTP: kinds of sources, pushes, and what could not be read."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

from ponant.accounts import Principal
from ponant.api.auth import Administrator, Caller, Member
from ponant.api.libraries import owned
from ponant.api.library_bodies import document_body, page_of
from ponant.api.platform import Platform, Services
from ponant.kit.errors import Forbidden
from ponant.live.port import MetadataValue
from ponant.live.sources.push import Pushed, PushedDeletion, PushedDocument

router = APIRouter(prefix="/v1", tags=["sources"])

_LONGEST_PUSH = 1000

Version = Annotated[int | None, Query(ge=0, lt=2**63, description="Of the deletion.")]


class PushedBody(BaseModel):
    """The request of ``PUT …/push/{key}``: a text, or a file's bytes."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = Field(
        default=None,
        ge=0,
        lt=2**63,
        description="Grows with every change; one that is not above the stored one is nothing.",
    )
    text: str | None = Field(default=None, description="Markdown.")
    content: Base64Bytes | None = Field(default=None, description="A file's bytes, in Base64.")
    name: str | None = Field(default=None, description="File name; the key's end if not set.")
    media_type: str | None = None
    url: str | None = None
    metadata: dict[str, MetadataValue] = {}
    access: list[str] | None = Field(
        default=None,
        description="Marks of who may read it (`person:…`, `group:…`, `email:…`); everybody who "
        "may read the library if not set.",
    )

    def document(self, key: str) -> PushedDocument:
        """The document under its key."""
        return PushedDocument(
            key=key,
            version=self.version,
            text=self.text,
            data=self.content,
            name=self.name,
            media_type=self.media_type,
            url=self.url,
            metadata=self.metadata,
            access=None if self.access is None else tuple(self.access),
        )


class KeyedBody(PushedBody):
    """A document of a bulk push."""

    key: str


class DeletionBody(BaseModel):
    """A deletion of a bulk push."""

    model_config = ConfigDict(extra="forbid")

    key: str
    version: int | None = Field(default=None, ge=0, lt=2**63)


class SignInBody(BaseModel):
    """The request of ``PATCH …/sources/{source_id}``; secrets that it does not name stay."""

    model_config = ConfigDict(extra="forbid")

    secrets: dict[str, str] = Field(default={}, description="Passwords and keys of the kind.")
    config: dict[str, Any] = Field(
        default={},
        description="Settings that say who signs in, such as `username`; no others may change.",
    )


class BulkBody(BaseModel):
    """The request of ``POST …/push``."""

    model_config = ConfigDict(extra="forbid")

    documents: list[KeyedBody] = Field(default=[], max_length=_LONGEST_PUSH)
    delete: list[DeletionBody] = Field(default=[], max_length=_LONGEST_PUSH)


@router.get("/sources/kinds", summary="List the kinds of sources")
async def list_kinds(caller: Caller, services: Services) -> dict[str, Any]:
    """Each with the JSON schema of its settings and the names of its secrets."""
    kinds = await services.live.sources.kinds(caller.scope)
    return {"object": "list", "data": [msgspec.to_builtins(one) for one in kinds]}


@router.patch("/libraries/{library_id}/sources/{source_id}", summary="Sign in with other secrets")
async def sign_in(
    library_id: str,
    source_id: str,
    body: SignInBody,
    caller: Administrator,
    services: Services,
) -> dict[str, Any]:
    """The source goes on from where it was; what it brought stays."""
    source = await services.live.sources.sign_in(
        caller.scope, library_id, source_id, body.secrets, body.config
    )
    shown: dict[str, Any] = msgspec.to_builtins(source)
    return shown


@router.post("/libraries/{library_id}/push", summary="Push documents")
async def push(
    library_id: str, body: BulkBody, caller: Member, services: Services
) -> dict[str, Any]:
    """Store and delete documents by their keys, up to 1,000 at once.

    The answer's version of the library shows all of it: a search with `at_least` waits for it.
    The same push again, or an older version that comes late, changes nothing.
    """
    keys = [*(one.key for one in body.documents), *(one.key for one in body.delete)]
    await _check_keys(services, caller, library_id, keys)
    pushed = await services.live.sources.push(
        caller.scope,
        library_id,
        [one.document(one.key) for one in body.documents],
        [PushedDeletion(key=one.key, version=one.version) for one in body.delete],
    )
    return _pushed_body(pushed)


@router.put("/libraries/{library_id}/push/{key:path}", summary="Push a document")
async def push_one(
    library_id: str, key: str, body: PushedBody, caller: Member, services: Services
) -> dict[str, Any]:
    """Store a document under a key of the caller's choice, or replace it."""
    await _check_keys(services, caller, library_id, [key])
    pushed = await services.live.sources.push(caller.scope, library_id, [body.document(key)])
    return _pushed_body(pushed)


@router.delete("/libraries/{library_id}/push/{key:path}", summary="Delete a pushed document")
async def delete_pushed(
    library_id: str, key: str, caller: Member, services: Services, version: Version = None
) -> dict[str, Any]:
    """It stops answering with the version of the library that the answer names."""
    await _check_keys(services, caller, library_id, [key])
    deletion = PushedDeletion(key=key, version=version)
    return _pushed_body(await services.live.sources.push(caller.scope, library_id, [], [deletion]))


@router.get("/libraries/{library_id}/failed", summary="List what could not be read")
async def list_failed(
    library_id: str,
    caller: Caller,
    services: Services,
    page: Annotated[int, Query(ge=0, lt=2**31)] = 0,
    page_size: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """Documents with the reason why they were not read, and its mend."""
    documents = await services.live.list_documents(caller.scope, library_id)
    failed = [document_body(one) for one in documents if one.state == "failed"]
    return page_of(failed, page, page_size)


@router.post("/libraries/{library_id}/retry", summary="Read again what could not be read")
async def retry(library_id: str, caller: Administrator, services: Services) -> dict[str, Any]:
    """Of every source of the library."""
    return {"retried": await services.live.sources.retry(caller.scope, library_id)}


@router.post(
    "/libraries/{library_id}/sources/{source_id}/retry", summary="Read again what one could not"
)
async def retry_source(
    library_id: str, source_id: str, caller: Administrator, services: Services
) -> dict[str, Any]:
    """Of one source; one that is in error is asked again at once."""
    return {"retried": await services.live.sources.retry(caller.scope, library_id, source_id)}


async def _check_keys(
    services: Platform, caller: Principal, library_id: str, keys: list[str]
) -> None:
    """Keep whoever may not change the library from documents that are closed to them.

    Raises:
        Forbidden: one stands under such a key.
    """
    try:
        await owned(library_id, caller, services)
    except Forbidden:
        closed = await services.live.access.closed_paths(caller.scope, library_id, keys)
        if closed:
            raise Forbidden(
                f"Others push documents under {len(closed)} of these keys. Choose other keys, or "
                "ask the library's owner to share it with you as an editor."
            ) from None


def _pushed_body(pushed: Pushed) -> dict[str, Any]:
    return {"object": "push", **msgspec.to_builtins(pushed)}
