"""The people of a workspace, the organisation's workspaces and groups, and the audit log."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from ponant.accounts import Role
from ponant.api.auth import Administrator
from ponant.api.platform import Services

router = APIRouter(prefix="/v1", tags=["people"])


class PersonBody(BaseModel):
    """The request of ``POST /v1/people``."""

    name: str
    email: str | None = None
    role: Role = Role.MEMBER


class RoleBody(BaseModel):
    """The request of ``PATCH /v1/people/{id}``."""

    role: Role


class NameBody(BaseModel):
    """The request of ``POST /v1/groups`` and ``POST /v1/workspaces``."""

    name: str


class KeyBody(BaseModel):
    """The request of ``POST /v1/people/{id}/keys``."""

    name: str = Field(description="What the key is for.")


@router.get("/people", summary="List people")
def list_people(caller: Administrator, services: Services) -> dict[str, Any]:
    """The members of the workspace with their roles and groups."""
    return _listed(services.accounts.directory.people(caller))


@router.post("/people", status_code=201, summary="Add a person")
def add_person(body: PersonBody, caller: Administrator, services: Services) -> dict[str, Any]:
    """A member of the workspace; one known by the address in another joins as that person."""
    made = services.accounts.directory.add_person(caller, body.name, body.email, body.role)
    return asdict(made)


@router.patch("/people/{person_id}", summary="Change somebody's role")
def change_person(
    person_id: str, body: RoleBody, caller: Administrator, services: Services
) -> dict[str, Any]:
    """Their keys may do no more than that from now on."""
    return asdict(services.accounts.directory.set_role(caller, person_id, body.role))


@router.delete("/people/{person_id}", status_code=204, summary="Remove a person")
def remove_person(person_id: str, caller: Administrator, services: Services) -> Response:
    """They leave the workspace, and their keys there open nothing any more."""
    services.accounts.directory.remove_person(caller, person_id)
    return Response(status_code=204)


@router.post("/people/{person_id}/keys", status_code=201, summary="Make somebody a key")
def make_key(
    person_id: str, body: KeyBody, caller: Administrator, services: Services
) -> dict[str, Any]:
    """A key that speaks for a member; shown once, in this response."""
    person = services.accounts.directory.act_as(caller, person_id)
    made = services.accounts.issue_key(caller, person, body.name)
    return {"id": made.info.id, "object": "api_key", "key": made.key, "person_id": person_id}


@router.post("/people/{person_id}/links", status_code=201, summary="Invite somebody")
def make_link(person_id: str, caller: Administrator, services: Services) -> dict[str, Any]:
    """A link that signs a member in to the page, once, within 15 minutes; shown this once.

    ``path`` stands behind the address under which people reach the server.
    """
    person = services.accounts.directory.act_as(caller, person_id)
    token = services.accounts.create_link(person)
    services.accounts.directory.note(caller, "person.link", person_id, {})
    path = f"/sign-in#token={token}"
    return {"object": "sign_in_link", "person_id": person_id, "path": path}


@router.get("/workspaces", summary="List workspaces")
def list_workspaces(caller: Administrator, services: Services) -> dict[str, Any]:
    """The organisation's, for the administrators of its first one."""
    return _listed(services.accounts.directory.workspaces(caller))


@router.post("/workspaces", status_code=201, summary="Add a workspace")
def add_workspace(body: NameBody, caller: Administrator, services: Services) -> dict[str, Any]:
    """Libraries, keys and conversations in it are its own; the caller administers it."""
    return asdict(services.accounts.directory.add_workspace(caller, body.name))


@router.get("/groups", summary="List groups")
def list_groups(caller: Administrator, services: Services) -> dict[str, Any]:
    """The organisation's groups with the ids of their members."""
    return _listed(services.accounts.directory.groups(caller))


@router.post("/groups", status_code=201, summary="Add a group")
def add_group(body: NameBody, caller: Administrator, services: Services) -> dict[str, Any]:
    """Access lists name it as ``group:<name>``, those that sources bring among them."""
    return asdict(services.accounts.directory.add_group(caller, body.name))


@router.delete("/groups/{group}", status_code=204, summary="Remove a group")
def remove_group(group: str, caller: Administrator, services: Services) -> Response:
    """By id or name. Nobody reads anything by it any more."""
    services.accounts.directory.remove_group(caller, group)
    return Response(status_code=204)


@router.put("/groups/{group}/members/{person_id}", summary="Put a person into a group")
def join(group: str, person_id: str, caller: Administrator, services: Services) -> dict[str, Any]:
    """Counts from the next request on."""
    return asdict(services.accounts.directory.join(caller, group, person_id))


@router.delete("/groups/{group}/members/{person_id}", summary="Take a person out of a group")
def leave(group: str, person_id: str, caller: Administrator, services: Services) -> dict[str, Any]:
    """Counts from the next request on, in conversations that are open too."""
    return asdict(services.accounts.directory.leave(caller, group, person_id))


@router.get("/admin/audit-logs", summary="Show who changed what")
def audit(
    caller: Administrator,
    services: Services,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """Changes of people, groups and access lists, the latest first."""
    return _listed(services.accounts.directory.audit(caller, limit))


def _listed(found: list[Any]) -> dict[str, Any]:
    return {"object": "list", "data": [asdict(one) for one in found]}
