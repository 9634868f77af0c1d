"""API keys over HTTP."""

from fastapi import FastAPI
from fastapi.testclient import TestClient
from mistralai.client.models import UserIdentity, WhoamiResponse, WhoamiUserPrincipal

from ponant.accounts import Principal, Role
from ponant.api.platform import Platform
from tests.api.conftest import with_key
from tests.fakes.accounts import add_person, key_of


def test_a_key_is_made_shown_once_used_and_revoked(app: FastAPI, client: TestClient) -> None:
    answer = client.post("/v1/admin/api-keys", json={"name": "laptop", "role": "member"})
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    made = answer.json()
    laptop = with_key(app, made["key"])
    assert laptop.get("/v1/whoami").json()["person"]["role"] == "member"
    listed = {key["id"]: key for key in client.get("/v1/admin/api-keys").json()["data"]}
    assert listed[made["id"]]["name"] == "laptop"
    assert made["key"] not in client.get("/v1/admin/api-keys").text
    assert client.delete(f"/v1/admin/api-keys/{made['id']}").status_code == 204
    assert laptop.get("/v1/whoami").status_code == 401


def test_a_member_sees_and_revokes_their_own_alone(
    app: FastAPI, client: TestClient, services: Platform, admin: Principal
) -> None:
    mary = add_person(services.database, services.clock, admin, "Mary", Role.MEMBER)
    hers = with_key(app, key_of(services.accounts, mary))
    assert [key["person_id"] for key in hers.get("/v1/admin/api-keys").json()["data"]] == [
        mary.person_id
    ]
    for key in client.get("/v1/admin/api-keys").json()["data"]:
        own = key["person_id"] == mary.person_id
        if not own:
            assert hers.delete(f"/v1/admin/api-keys/{key['id']}").status_code == 404
    refused = hers.post("/v1/admin/api-keys", json={"name": "more", "role": "admin"})
    assert refused.status_code == 403


def test_a_viewer_makes_no_keys(app: FastAPI, services: Platform, admin: Principal) -> None:
    board = services.accounts.create_key(admin, "board", Role.VIEWER).key
    answer = with_key(app, board).post("/v1/admin/api-keys", json={"name": "mine"})
    assert answer.status_code == 403


def test_a_bad_role_is_named(client: TestClient) -> None:
    answer = client.post("/v1/admin/api-keys", json={"name": "x", "role": "king"})
    assert answer.status_code == 422
    assert answer.json()["param"] == "role"


def test_users_me_and_its_lists_are_what_mistrals_client_reads(
    client: TestClient, admin: Principal
) -> None:
    me = client.get("/v1/users/me").json()
    UserIdentity.model_validate(me)
    told = WhoamiResponse.model_validate(client.get("/v1/whoami").json())
    assert isinstance(told.principal, WhoamiUserPrincipal)
    assert told.principal.id == admin.person_id
    assert me["id"] == admin.person_id
    assert {"email", "first_name", "last_name", "workspace", "organization", "api_key"} <= set(me)
    assert me["api_key"]["name"] == "test"
    (organisation,) = client.get("/v1/users/me/organizations").json()["organizations"]
    (workspace,) = client.get("/v1/users/me/workspaces").json()["workspaces"]
    assert workspace["organization_id"] == organisation["id"] == admin.organisation_id
    assert client.get("/v1/users/me/organizations?offset=1").json() == {"organizations": []}
