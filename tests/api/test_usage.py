"""Usage over HTTP."""

from datetime import timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from ponant.accounts import Principal, Role
from ponant.api.platform import Platform
from ponant.billing import usage_event
from ponant.engine import Usage
from tests.api.conftest import with_key
from tests.fakes.accounts import add_person, key_of
from tests.fakes.clock import START


@pytest.fixture
def mary(services: Platform, admin: Principal) -> Principal:
    mary = add_person(services.database, services.clock, admin, "Mary", Role.MEMBER)
    for caller, tokens, days in ((admin, 100, 1), (mary, 7, 1), (mary, 5, 40)):
        usage = Usage(prompt_tokens=tokens, completion_tokens=1)
        services.ledger.record(usage_event(caller, "starter", usage, START - timedelta(days=days)))
    return mary


def test_an_administrator_sees_the_workspaces_last_thirty_days(
    client: TestClient, mary: Principal
) -> None:
    told = client.get("/v1/admin/usage").json()
    assert [(row["group"], row["requests"]) for row in told["data"]] == [("2026-07-31", 2)]
    assert told["until"] == "2026-08-01T12:00:00Z"


def test_a_member_sees_their_own(app: FastAPI, services: Platform, mary: Principal) -> None:
    hers = with_key(app, key_of(services.accounts, mary))
    told = hers.get("/v1/admin/usage", params={"by": "model", "since": "2026-01-01"}).json()
    assert [(row["group"], row["prompt_tokens"]) for row in told["data"]] == [("starter", 12)]


def test_the_span_is_half_open(client: TestClient, mary: Principal) -> None:
    moment = "2026-07-31T12:00:00Z"
    assert (
        client.get("/v1/admin/usage", params={"since": "2026-07-01", "until": moment}).json()[
            "data"
        ]
        == []
    )
    assert client.get("/v1/admin/usage", params={"since": moment}).json()["data"] != []


@pytest.mark.parametrize(
    "query",
    [
        {"since": "2026-08-01", "until": "2026-07-01"},
        {"since": "yesterday"},
        {"by": "mood"},
        {"until": "0001-01-01"},
        {"since": "9999-12-31T23:59:59-12:00"},
    ],
)
def test_a_span_that_makes_no_sense_is_refused(
    client: TestClient, admin: Principal, query: dict[str, str]
) -> None:
    answer = client.get("/v1/admin/usage", params=query)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], list)
