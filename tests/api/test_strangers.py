"""A key of another organisation sees nothing of this one."""

from datetime import timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from ponant.accounts import Accounts, Principal
from ponant.api.platform import Platform
from ponant.billing import usage_event
from ponant.engine import Usage
from ponant.kit import SystemClock
from ponant.store import Database
from tests.api.conftest import with_key
from tests.api.strangers import ACCOUNTS, SERVED, Resource, check
from tests.fakes.accounts import add_organisation, key_of
from tests.fakes.clock import START
from tests.server import Server


@pytest.fixture
def stranger(app: FastAPI, services: Platform) -> TestClient:
    """A client of an administrator, elsewhere."""
    person = add_organisation(services.database, services.clock, "Elsewhere")
    return with_key(app, key_of(services.accounts, person))


@pytest.mark.parametrize("resource", ACCOUNTS, ids=lambda resource: resource.name)
def test_a_stranger_neither_sees_nor_reaches_it(
    client: TestClient, stranger: TestClient, resource: Resource
) -> None:
    check(resource, client, stranger)


def test_a_stranger_sees_no_usage(
    client: TestClient, stranger: TestClient, services: Platform, admin: Principal
) -> None:
    used = usage_event(
        admin,
        "starter",
        Usage(prompt_tokens=10, completion_tokens=1),
        START - timedelta(hours=1),
    )
    services.ledger.record(used)
    for by in ("day", "model", "key"):
        assert client.get("/v1/admin/usage", params={"by": by}).json()["data"] != []
        assert stranger.get("/v1/admin/usage", params={"by": by}).json()["data"] == []


def test_a_stranger_is_somebody_else(
    client: TestClient, stranger: TestClient, admin: Principal
) -> None:
    told = stranger.get("/v1/whoami")
    assert told.json()["organisation"]["name"] == "Elsewhere"
    for secret in (admin.organisation_id, admin.workspace_id, admin.person_id, "My organisation"):
        assert secret not in told.text


@pytest.mark.model
@pytest.mark.parametrize("resource", [*ACCOUNTS, *SERVED], ids=lambda resource: resource.name)
def test_a_stranger_to_a_running_server_neither_sees_nor_reaches_it(
    server: Server, resource: Resource
) -> None:
    database = Database.at(server.home / "ponant.db")
    person = add_organisation(database, SystemClock(), "Elsewhere")
    key = key_of(Accounts(database, SystemClock()), person)
    database.close()
    with server.client() as owner, server.client(key) as stranger:
        check(resource, owner, stranger)
