"""The pipelines that the server runs: shown, and what failed in them replayed.

None can be added here: a pipeline is code, and only the operator says what the server runs.
"""

from typing import Any

import msgspec
from fastapi import APIRouter

from ponant.api.auth import Administrator
from ponant.api.platform import Services

router = APIRouter(prefix="/v1/pipelines", tags=["tables"])


@router.get("", summary="List pipelines")
async def list_pipelines(caller: Administrator, services: Services) -> dict[str, Any]:  # noqa: ARG001 - asked for the role
    """How the pipelines of PONANT_PIPELINES fare, and what waits to be replayed."""
    found = await services.pipelines.list()
    return {"object": "list", "data": msgspec.to_builtins(found)}


@router.post("/{name}/replay", summary="Replay what failed")
async def replay(name: str, caller: Administrator, services: Services) -> dict[str, int]:  # noqa: ARG001 - asked for the role
    """Bring what failed through the pipeline again; returns how many items that are."""
    return {"replayed": await services.pipelines.replay(name)}
