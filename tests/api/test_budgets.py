"""Budgets over HTTP: set by administrators, and told in a form that clients read."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
import openai
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from ponant.accounts import Principal, Role
from ponant.api import budgets, chat, completions, conversations, embeddings, fim
from ponant.api.platform import Platform
from ponant.assistant import Assistant
from ponant.billing import usage_event
from ponant.engine import Usage
from tests.api.conftest import BASE_URL, make_app, with_key
from tests.fakes.accounts import add_organisation, add_person, key_of
from tests.fakes.clock import FakeClock
from tests.fakes.knowledge import FakeKnowledge
from tests.fakes.models import FakeEmbedder, FakeModel, FakeModels

_CHAT = {"model": "fake", "max_tokens": 8, "messages": [{"role": "user", "content": "Hello?"}]}
_TWELVE_HOURS = 12 * 3600


@pytest.fixture
def model() -> FakeModel:
    return FakeModel(lambda _: "Hello.")


@pytest.fixture
def app(services: Platform, model: FakeModel) -> FastAPI:
    given = cast("Any", services)
    given.clock = given.ledger.clock = FakeClock(datetime(2026, 11, 30, 12, tzinfo=UTC))
    given.ledger.budgets._clock = given.clock
    embedder = FakeEmbedder()
    embedder.card = msgspec.structs.replace(embedder.card, embedding=True)
    given.models = FakeModels(model, embedder)
    given.assistant = Assistant(
        services.database, services.clock, given.models, FakeKnowledge(), services.ledger
    )
    app = make_app(services, services.settings)
    for module in (budgets, chat, completions, fim, embeddings, conversations):
        app.include_router(module.router)
    return app


def use_up(services: Platform, caller: Principal, tokens: int = 100) -> None:
    """Set a workspace's budget, all of which is used."""
    usage = Usage(prompt_tokens=tokens - 1, completion_tokens=1)
    services.ledger.record(usage_event(caller, "fake", usage, services.clock.now()))
    services.ledger.budgets.set(caller, tokens)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", _CHAT),
        ("/v1/chat/completions", _CHAT | {"stream": True}),
        ("/v1/chat/completions", _CHAT | {"n": 2}),
        ("/v1/completions", {"model": "fake", "prompt": "Hello"}),
        ("/v1/conversations", {"model": "fake", "inputs": "Hello?", "stream": False}),
    ],
)
def test_when_it_is_used_up_models_are_not_asked(
    client: TestClient,
    services: Platform,
    admin: Principal,
    model: FakeModel,
    path: str,
    body: dict[str, Any],
) -> None:
    use_up(services, admin)
    answer = client.post(path, json=body)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == str(_TWELVE_HOURS)
    told = answer.json()
    assert told["code"] == told["error"]["code"] == told["error"]["type"] == "insufficient_quota"
    assert "used up (100)" in told["message"]
    assert "1 December" in told["message"]
    assert model.requests == []


def test_a_stream_of_a_conversation_says_so(
    client: TestClient, services: Platform, admin: Principal
) -> None:
    use_up(services, admin)
    body = {"model": "fake", "inputs": "Hello?", "stream": True}
    told = client.post("/v1/conversations", json=body).text
    assert "conversation.response.error" in told
    assert "used up (100)" in told


def test_openais_client_does_not_try_again(
    app: FastAPI, services: Platform, admin: Principal
) -> None:
    use_up(services, admin)
    key = services.accounts.create_key(admin, "test").key
    asked = []
    with TestClient(app, base_url=BASE_URL) as http:
        http.event_hooks["request"].append(asked.append)
        stock = openai.OpenAI(api_key=key, base_url=f"{BASE_URL}/v1", http_client=http)
        with pytest.raises(openai.RateLimitError) as caught:
            stock.chat.completions.create(**_CHAT)
    assert caught.value.code == "insufficient_quota"
    assert len(asked) == 1


def test_what_is_asked_is_counted_until_nothing_is_left(
    client: TestClient, model: FakeModel
) -> None:
    made = client.put("/v1/admin/budgets/workspace", json={"tokens": 4000}).json()
    assert (made["object"], made["person_id"], made["left"]) == ("budget", None, 4000)
    refused = client.post("/v1/chat/completions", json=_CHAT | {"max_tokens": 5000})
    assert refused.status_code == 429
    assert "max_tokens" in refused.json()["message"]
    assert client.post("/v1/chat/completions", json=_CHAT).status_code == 200
    assert client.post("/v1/chat/completions", json=_CHAT | {"stream": True}).status_code == 200
    usage = client.post("/v1/chat/completions", json=_CHAT).json()["usage"]
    (budget,) = client.get("/v1/admin/budgets").json()["data"]
    assert (budget["used"], budget["reserved"]) == (3 * usage["total_tokens"], 0)
    assert (budget["month"], budget["ends_at"]) == ("2026-11", "2026-12-01T00:00:00Z")


def test_an_embedding_is_counted_and_refused_too(client: TestClient) -> None:
    body = {"model": "embed", "input": ["Hello", "there"]}
    client.put("/v1/admin/budgets/workspace", json={"tokens": 3})
    refused = client.post("/v1/embeddings", json=body)
    assert refused.status_code == 429
    client.put("/v1/admin/budgets/workspace", json={"tokens": 1000})
    answer = client.post("/v1/embeddings", json=body).json()
    (budget,) = client.get("/v1/admin/budgets").json()["data"]
    assert (budget["used"], budget["reserved"]) == (answer["usage"]["total_tokens"], 0)


def test_the_next_month_and_an_administrator_let_it_go_on(
    client: TestClient, services: Platform, admin: Principal
) -> None:
    use_up(services, admin)
    assert client.post("/v1/chat/completions", json=_CHAT).status_code == 429
    client.put("/v1/admin/budgets/workspace", json={"tokens": 5000})
    assert client.post("/v1/chat/completions", json=_CHAT).status_code == 200
    client.put("/v1/admin/budgets/workspace", json={"tokens": 100})
    assert client.post("/v1/chat/completions", json=_CHAT).status_code == 429
    cast("FakeClock", services.clock).move(timedelta(hours=12))
    client.put("/v1/admin/budgets/workspace", json={"tokens": 5000})
    assert client.get("/v1/admin/budgets").json()["data"][0]["used"] == 0
    assert client.delete("/v1/admin/budgets/workspace").status_code == 204
    assert client.get("/v1/admin/budgets").json()["data"] == []
    assert client.delete("/v1/admin/budgets/workspace").status_code == 404


def test_members_see_what_they_are_held_to_and_set_nothing(
    app: FastAPI, client: TestClient, services: Platform, admin: Principal
) -> None:
    mary = add_person(services.database, services.clock, admin, "Mary", Role.MEMBER)
    joan = add_person(services.database, services.clock, admin, "Joan", Role.MEMBER)
    client.put("/v1/admin/budgets/workspace", json={"tokens": 100})
    for one, tokens in ((mary, 10), (joan, 20)):
        made = client.put(f"/v1/admin/budgets/{one.person_id}", json={"tokens": tokens})
        assert made.status_code == 200
    hers = with_key(app, key_of(services.accounts, mary))
    seen = hers.get("/v1/admin/budgets").json()["data"]
    assert [one["person_id"] for one in seen] == [None, mary.person_id]
    assert hers.put("/v1/admin/budgets/workspace", json={"tokens": 1}).status_code == 403
    assert hers.delete("/v1/admin/budgets/workspace").status_code == 403
    noted = services.accounts.directory.audit(admin)
    assert [one.action for one in noted].count("budget.set") == 3


def test_a_stranger_neither_sees_nor_reaches_it(
    app: FastAPI, client: TestClient, services: Platform, admin: Principal
) -> None:
    elsewhere = add_organisation(services.database, services.clock, "Elsewhere")
    stranger = with_key(app, key_of(services.accounts, elsewhere))
    mary = add_person(services.database, services.clock, admin, "Mary", Role.MEMBER)
    client.put("/v1/admin/budgets/workspace", json={"tokens": 100})
    client.put(f"/v1/admin/budgets/{mary.person_id}", json={"tokens": 100})
    assert stranger.get("/v1/admin/budgets").json()["data"] == []
    for whose in ("workspace", mary.person_id):
        assert stranger.delete(f"/v1/admin/budgets/{whose}").status_code == 404
    address = f"/v1/admin/budgets/{mary.person_id}"
    assert stranger.put(address, json={"tokens": 1}).status_code == 404
    assert len(client.get("/v1/admin/budgets").json()["data"]) == 2


@pytest.mark.parametrize("tokens", [-1, 2**53, "many", None])
def test_a_number_that_is_none_is_refused(client: TestClient, tokens: object) -> None:
    answer = client.put("/v1/admin/budgets/workspace", json={"tokens": tokens})
    assert answer.status_code == 422
