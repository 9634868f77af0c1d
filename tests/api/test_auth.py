"""Every route asks who is calling, and a wrong key learns nothing."""

from typing import Annotated

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from ponant.accounts import Principal, Role
from ponant.api.auth import require
from ponant.api.platform import Platform
from tests.api.conftest import with_key


def test_a_key_opens_and_says_whose_it_is(client: TestClient, admin: Principal) -> None:
    told = client.get("/v1/whoami").json()
    assert told["person"] == {"id": admin.person_id, "name": "Administrator", "role": "admin"}
    assert told["workspace"] == {"id": admin.workspace_id, "name": "Main"}
    assert told["organisation"] == {"id": admin.organisation_id, "name": "My organisation"}


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Bearer wrong",
        "Bearer ",
        "Bearer pnt_" + "x" * 43,
        "Basic cG5hbnQ6",
        "pnt_bare",
        "Bearer \xe9",
        "Bearer " + "x" * 5000,
    ],
)
def test_every_wrong_key_gets_the_same_401(nobody: TestClient, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    answer = nobody.get("/v1/whoami", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    body = answer.json()
    assert body == nobody.get("/v1/whoami").json()
    assert body["code"] == "invalid_api_key"


def test_a_revoked_key_gets_the_same_401(
    app: FastAPI, nobody: TestClient, services: Platform, admin: Principal
) -> None:
    made = services.accounts.create_key(admin, "laptop")
    services.accounts.revoke_key(admin, made.info.id)
    answer = with_key(app, made.key).get("/v1/whoami")
    assert answer.status_code == 401
    assert answer.json() == nobody.get("/v1/whoami").json()


@pytest.mark.parametrize(
    ("role", "needed", "status"),
    [
        (Role.VIEWER, Role.VIEWER, 200),
        (Role.VIEWER, Role.MEMBER, 403),
        (Role.MEMBER, Role.MEMBER, 200),
        (Role.MEMBER, Role.ADMIN, 403),
        (Role.ADMIN, Role.MEMBER, 200),
        (Role.ADMIN, Role.ADMIN, 200),
    ],
)
def test_a_route_lets_pass_who_has_its_role(
    app: FastAPI, services: Platform, admin: Principal, role: Role, needed: Role, status: int
) -> None:
    @app.get("/guarded")
    def guarded(_: Annotated[Principal, Depends(require(needed))]) -> None: ...

    key = services.accounts.create_key(admin, "some", role).key
    answer = with_key(app, key).get("/guarded")
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["message"] == (
            f"This needs the role {needed}, and yours is {role}. Ask an administrator."
        )


def test_a_route_without_its_key_says_so_before_it_reads_the_body(nobody: TestClient) -> None:
    assert nobody.post("/v1/admin/api-keys", json={"name": "x"}).status_code == 401
