"""The folders of the server's machine that a source may lie in."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query

from ponant.api.auth import Administrator
from ponant.api.platform import Services

router = APIRouter(prefix="/v1/folders", tags=["libraries"])


@router.get("", summary="List folders")
async def list_folders(
    caller: Administrator,
    services: Services,
    path: Annotated[str | None, Query(description="A folder inside the roots.")] = None,
) -> dict[str, Any]:
    """The folders in one, or the allowed roots where none is named; hidden ones are left out."""
    listing = await services.live.list_folders(caller.scope, path or None)
    body: dict[str, Any] = msgspec.to_builtins(listing)
    return body
