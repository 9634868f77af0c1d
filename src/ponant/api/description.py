"""The OpenAPI description of every route, for callers with a key."""

from typing import Any

from fastapi import APIRouter, Request

from ponant.api.auth import Caller

router = APIRouter(tags=["operation"])


@router.get("/v1/openapi.json", summary="Describe the API")
def describe(request: Request, caller: Caller) -> dict[str, Any]:  # noqa: ARG001
    """This API as an OpenAPI 3.1 document."""
    described: dict[str, Any] = request.app.openapi()
    return described
