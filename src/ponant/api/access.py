"""Who may read a library's documents, shown and set by those who decide it."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, Field

from ponant.accounts import Principal
from ponant.api.auth import Member
from ponant.api.libraries import owned
from ponant.api.platform import Platform, Services
from ponant.live.access import DocumentAccess

router = APIRouter(prefix="/v1/libraries", tags=["access"])

_MOST_MARKS = 1000


class AccessBody(BaseModel):
    """The request of ``PUT …/access``."""

    access: Annotated[list[str], Field(max_length=_MOST_MARKS)] | None = Field(
        description="`person:<id>`, `email:<address>` and `group:<name>`; an empty list lets "
        "nobody in, null everybody who may read the library."
    )


@router.get("/{library_id}/access", summary="Show who may read what")
async def list_access(library_id: str, caller: Member, services: Services) -> dict[str, Any]:
    """Every document of the library with its list, for its owner and administrators.

    They see names of documents that they may not read themselves, and nothing of their text.
    """
    await owned(library_id, caller, services)
    found = await services.live.access.show(caller.scope, library_id)
    return {"object": "list", "data": [_body(one) for one in found]}


@router.put("/{library_id}/documents/{document_id}/access", summary="Say who may read a document")
async def set_access(
    library_id: str, document_id: str, body: AccessBody, caller: Member, services: Services
) -> dict[str, Any]:
    """From the next question on, whatever its source says. Owner and administrators may."""
    await owned(library_id, caller, services)
    made = await services.live.access.set(caller.scope, library_id, document_id, body.access)
    _note(services, caller, "access.set", made)
    return _body(made)


@router.delete(
    "/{library_id}/documents/{document_id}/access", summary="Let the source say who may read"
)
async def release_access(
    library_id: str, document_id: str, caller: Member, services: Services
) -> dict[str, Any]:
    """The list stays until the source brings the document again. Owner and administrators may."""
    await owned(library_id, caller, services)
    made = await services.live.access.release(caller.scope, library_id, document_id)
    _note(services, caller, "access.release", made)
    return _body(made)


def _note(services: Platform, caller: Principal, action: str, made: DocumentAccess) -> None:
    detail = {"access": None if made.access is None else list(made.access)}
    services.accounts.directory.note(caller, action, made.document_id, detail)


def _body(one: DocumentAccess) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(one)
    return body
