"""Who the caller is, in our words and in those of Mistral's client."""

from typing import Any

from fastapi import APIRouter

from ponant.accounts import Identity, Principal
from ponant.api.auth import Caller
from ponant.api.platform import Services

router = APIRouter(prefix="/v1", tags=["identity"])


@router.get("/whoami", summary="Tell who is calling")
def whoami(caller: Caller, services: Services) -> dict[str, Any]:
    """The person, workspace and organisation that the key or session speaks for."""
    names = services.accounts.identity(caller)
    return who(caller, names) | {
        "principal": {"principal_type": "user", **_person(caller, names)},
        "organization": {"id": caller.organisation_id, "name": names.organisation},
    }


@router.get("/users/me", summary="Tell who is calling, in Mistral's form")
def users_me(caller: Caller, services: Services) -> dict[str, Any]:
    """The same for clients that ask for a user."""
    names = services.accounts.identity(caller)
    return _person(caller, names) | {
        "workspace": {"id": caller.workspace_id, "name": names.workspace},
        "organization": {"id": caller.organisation_id, "name": names.organisation},
        "api_key": {"id": caller.key_id, "name": names.key} if caller.key_id else None,
    }


@router.get("/users/me/organizations", summary="List the caller's organisations")
def organizations(caller: Caller, services: Services, offset: int = 0) -> dict[str, Any]:
    """One, today."""
    names = services.accounts.identity(caller)
    found = [{"id": caller.organisation_id, "name": names.organisation}]
    return {"organizations": found[offset:]}


@router.get("/users/me/workspaces", summary="List the caller's workspaces")
def workspaces(caller: Caller, services: Services, offset: int = 0) -> dict[str, Any]:
    """One, today."""
    names = services.accounts.identity(caller)
    found = [
        {
            "id": caller.workspace_id,
            "name": names.workspace,
            "organization_id": caller.organisation_id,
        }
    ]
    return {"workspaces": found[offset:]}


def who(caller: Principal, names: Identity) -> dict[str, Any]:
    """Person, workspace and organisation as the page reads them."""
    return {
        "person": {"id": caller.person_id, "name": names.person, "role": caller.role},
        "workspace": {"id": caller.workspace_id, "name": names.workspace},
        "organisation": {"id": caller.organisation_id, "name": names.organisation},
    }


def _person(caller: Principal, names: Identity) -> dict[str, Any]:
    first, _, last = names.person.partition(" ")
    return {
        "id": caller.person_id,
        "email": names.email,
        "first_name": first,
        "last_name": last or None,
    }
