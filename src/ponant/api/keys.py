"""API keys: made, listed and revoked."""

from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from ponant.accounts import ApiKey, Role
from ponant.api.auth import Caller, Member
from ponant.api.platform import Services

router = APIRouter(prefix="/v1/admin/api-keys", tags=["keys"])


class NewKeyBody(BaseModel):
    """The request of ``POST /v1/admin/api-keys``."""

    name: str = Field(description="What the key is for.")
    role: Role | None = Field(
        default=None, description="At most the caller's, which it is if not given."
    )


@router.get("", summary="List API keys")
def list_keys(caller: Caller, services: Services) -> dict[str, Any]:
    """All of the workspace's for an administrator, the caller's own for everybody else."""
    return {
        "object": "list",
        "data": [_body(key) for key in services.accounts.list_keys(caller)],
    }


@router.post("", status_code=201, summary="Make an API key")
def create_key(body: NewKeyBody, caller: Member, services: Services) -> dict[str, Any]:
    """The response shows the key, once: only its hash is stored."""
    made = services.accounts.create_key(caller, body.name, body.role)
    return _body(made.info) | {"key": made.key}


@router.delete("/{key_id}", status_code=204, summary="Revoke an API key")
def revoke_key(key_id: str, caller: Caller, services: Services) -> Response:
    """From now on the key opens nothing. An administrator may revoke anybody's."""
    services.accounts.revoke_key(caller, key_id)
    return Response(status_code=204)


def _body(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "object": "api_key",
        "name": key.name,
        "role": key.role,
        "person_id": key.person_id,
        "hint": key.hint,
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }
