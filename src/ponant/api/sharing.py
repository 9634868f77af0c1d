"""Who may change a library, in the form of Mistral's client."""

from typing import Any, Literal

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict

from ponant.accounts import Principal
from ponant.accounts.sharing import Level, Share, With
from ponant.api.auth import Caller, Member
from ponant.api.libraries import owned
from ponant.api.platform import Services
from ponant.kit.errors import BadRequest

router = APIRouter(prefix="/v1/libraries/{library_id}/share", tags=["access"])

Entity = Literal["User", "Workspace", "Org"]


class ShareBody(BaseModel):
    """The request of ``PUT …/share``."""

    model_config = ConfigDict(extra="ignore")

    level: Level
    share_with_uuid: str
    share_with_type: Entity


class UnshareBody(BaseModel):
    """The request of ``DELETE …/share``."""

    model_config = ConfigDict(extra="ignore")

    share_with_uuid: str
    share_with_type: Entity


@router.get("", summary="Show who may change a library")
async def list_shares(library_id: str, caller: Caller, services: Services) -> dict[str, Any]:
    """The workspace reads it; persons may be its editors, beside owner and administrators."""
    await services.live.get_library(caller.scope, library_id)
    found = await run_in_threadpool(services.accounts.shares.list, caller, library_id)
    return {"object": "list", "data": [_body(one, caller) for one in found]}


@router.put("", summary="Let somebody change a library")
async def share(
    library_id: str, body: ShareBody, caller: Member, services: Services
) -> dict[str, Any]:
    """``Editor`` for a member, or for the workspace; ``Viewer`` takes it back."""
    await owned(library_id, caller, services, to_edit=False)
    made = await run_in_threadpool(
        services.accounts.shares.give,
        caller,
        library_id,
        _inside(body.share_with_type),
        body.share_with_uuid,
        body.level,
    )
    detail = {"with": made.entity_id, "level": made.level}
    note = services.accounts.directory.note
    await run_in_threadpool(note, caller, "library.share", library_id, detail)
    return _body(made, caller)


@router.delete("", summary="Let somebody change a library no more")
async def unshare(
    library_id: str, body: UnshareBody, caller: Member, services: Services
) -> dict[str, Any]:
    """They read it as everybody in the workspace does."""
    await owned(library_id, caller, services, to_edit=False)
    gone = await run_in_threadpool(
        services.accounts.shares.take, caller, library_id, body.share_with_uuid
    )
    note = services.accounts.directory.note
    await run_in_threadpool(note, caller, "library.unshare", library_id, {"with": gone.entity_id})
    return _body(gone, caller)


def _inside(entity: Entity) -> With:
    if entity == "Org":
        raise BadRequest("A library is shared inside its workspace.", param="share_with_type")
    return entity


def _body(one: Share, caller: Principal) -> dict[str, Any]:
    return {
        "library_id": one.library_id,
        "org_id": caller.organisation_id,
        "role": one.level,
        "share_with_type": one.kind,
        "share_with_uuid": one.entity_id,
        "user_id": one.entity_id if one.kind == "User" else None,
    }
