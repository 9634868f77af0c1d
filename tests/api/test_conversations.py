"""Conversations over HTTP, as the stock Mistral client and the page hold them."""

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from mistralai.client import Mistral

from ponant.accounts import Principal
from ponant.api import conversations, passages
from ponant.api.platform import Platform
from ponant.assistant import Assistant
from tests.api.conftest import BASE_URL, make_app
from tests.fakes.accounts import add_organisation, key_of
from tests.fakes.knowledge import FakeKnowledge
from tests.fakes.models import FakeModel, FakeModels

_QUESTION = "When does the reception desk open?"
_DESK = "The reception desk opens at 08:30."
_LATER = "The reception desk opens at 09:15."
_LIBRARY = {"type": "document_library", "library_ids": ["lib_1"]}


def _answer(request: Any) -> str:
    """What a model that goes by its passages says."""
    if not request.passages:
        return "Rome."
    return f"{request.passages[0].text} [1]"


@pytest.fixture
def live(admin: Principal) -> FakeKnowledge:
    live = FakeKnowledge()
    live.put(admin.scope, "lib_1", "canteen.md", "The canteen serves lunch.")
    live.put(admin.scope, "lib_1", "handbook.md", _DESK)
    return live


@pytest.fixture
def app(services: Platform, live: FakeKnowledge) -> FastAPI:
    given = cast("Any", services)
    given.live = live
    models = FakeModels(FakeModel(_answer))
    given.assistant = Assistant(services.database, services.clock, models, live, services.ledger)
    app = make_app(services, services.settings)
    app.include_router(conversations.router)
    app.include_router(passages.router)
    return app


@pytest.fixture
def http(app: FastAPI, services: Platform, admin: Principal) -> Iterator[TestClient]:
    """A client whose requests share one event loop, as those of one server do."""
    key = key_of(services.accounts, admin)
    headers = {"Authorization": f"Bearer {key}"}
    with TestClient(app, base_url=BASE_URL, headers=headers) as client:
        yield client


@pytest.fixture
def mistral(http: TestClient, services: Platform, admin: Principal) -> Mistral:
    key = key_of(services.accounts, admin)
    return Mistral(server_url=BASE_URL, api_key=key, client=http)


def test_the_stock_client_holds_a_conversation(mistral: Mistral) -> None:
    held = mistral.beta.conversations
    first = held.start(inputs="What is the capital of Italy?", model="fake")
    assert first.outputs[0].content == "Rome."  # type: ignore[union-attr]
    assert first.usage.completion_tokens == 2
    conversation_id = first.conversation_id
    held.append(conversation_id=conversation_id, inputs=[{"role": "user", "content": "Sure?"}])
    history = held.get_history(conversation_id=conversation_id)
    assert [entry.type for entry in history.entries] == [
        "message.input",
        "message.output",
        "message.input",
        "message.output",
    ]
    assert len(held.get_messages(conversation_id=conversation_id).messages) == 4
    assert [one.id for one in held.list()] == [conversation_id]
    assert held.get(conversation_id=conversation_id).name == "What is the capital of Italy?"
    held.delete(conversation_id=conversation_id)
    assert held.list() == []


def test_the_stock_client_streams_a_cited_answer(mistral: Mistral) -> None:
    with mistral.beta.conversations.start_stream(
        inputs=_QUESTION, model="fake", tools=[_LIBRARY]
    ) as stream:
        events = list(stream)
    assert [event.event for event in events] == [event.data.type for event in events]
    kinds = [event.event for event in events]
    assert kinds[:3] == [
        "conversation.response.started",
        "tool.execution.started",
        "tool.execution.done",
    ]
    assert kinds[-1] == "conversation.response.done"
    contents = [cast("Any", event.data).content for event in events if "delta" in event.event]
    assert "".join(one for one in contents if isinstance(one, str)).strip() == _DESK
    [reference] = [one for one in contents if not isinstance(one, str)]
    assert (reference.tool, reference.title) == ("document_library", "handbook.md")


def test_when_only_passage_2_answers_exactly_2_is_cited(http: TestClient) -> None:
    body = {"inputs": _QUESTION, "model": "fake", "tools": [_LIBRARY], "stream": True}
    events = _events(http.post("/v1/conversations", json=body).text)
    references = [
        event["content"]
        for event in events
        if event["type"] == "message.output.delta" and not isinstance(event["content"], str)
    ]
    assert [reference["number"] for reference in references] == [2]
    done = events[-1]
    [source] = done["ponant"]["sources"]
    assert (source["number"], source["text"]) == (2, _DESK)
    searched = next(event for event in events if event["type"] == "tool.execution.done")
    assert [source["number"] for source in searched["info"]["sources"]] == [1, 2]
    assert searched["info"]["version"] == 3
    reference = references[0]
    assert reference["hash"] == source["hash"]
    shown = http.get(reference["url"]).json()
    assert shown["text"][shown["start"] : shown["end"]] == _DESK
    conversation_id = events[0]["conversation_id"]
    history = http.get(f"/v1/conversations/{conversation_id}/history").json()["entries"]
    assert [entry["type"] for entry in history] == [
        "message.input",
        "tool.execution",
        "message.output",
    ]
    assert history[2]["content"][-1] == reference
    held = http.get(f"/v1/conversations/{conversation_id}").json()
    assert held["metadata"]["library_ids"] == ["lib_1"]


def test_where_no_passage_answers_it_says_so_and_cites_nothing(http: TestClient) -> None:
    body = {"inputs": "Who is the chief executive?", "model": "fake", "tools": [_LIBRARY]}
    answer = http.post("/v1/conversations", json=body).json()
    assert answer["outputs"][-1]["content"] == "The documents do not say."
    assert answer["ponant"]["sources"] == []


def test_an_edit_shows_in_the_check_and_in_the_next_answer(
    http: TestClient, live: FakeKnowledge, admin: Principal
) -> None:
    body = {"inputs": _QUESTION, "model": "fake", "tools": [_LIBRARY]}
    first = http.post("/v1/conversations", json=body).json()
    [source] = first["ponant"]["sources"]
    reference = {"id": source["passage_id"], "hash": source["hash"], "library_id": "lib_1"}
    checked = http.post("/v1/passages/check", json={"passages": [reference]}).json()["data"]
    assert [one["state"] for one in checked] == ["current"]
    live.put(admin.scope, "lib_1", "handbook.md", _LATER)
    checked = http.post("/v1/passages/check", json={"passages": [reference]}).json()["data"]
    assert [one["state"] for one in checked] == ["gone"]
    conversation_id, last = first["conversation_id"], first["outputs"][-1]["id"]
    again = http.post(
        f"/v1/conversations/{conversation_id}/restart", json={"from_entry_id": last}
    ).json()
    assert again["outputs"][-1]["content"][0]["text"].strip() == _LATER
    appended = http.post(f"/v1/conversations/{conversation_id}", json={"inputs": _QUESTION})
    assert appended.json()["outputs"][-1]["content"][0]["text"].strip() == _LATER


def test_an_answer_can_be_read_on_by_number(http: TestClient) -> None:
    body = {"inputs": "What is the capital of Italy?", "model": "fake", "stream": True}
    first = http.post("/v1/conversations", json=body).text
    conversation_id = _events(first)[0]["conversation_id"]
    numbers = [int(line[4:]) for line in first.splitlines() if line.startswith("id: ")]
    assert numbers == list(range(1, len(numbers) + 1))
    rest = http.get(f"/v1/conversations/{conversation_id}/events?after=2").text
    assert _events(rest) == _events(first)[2:]
    assert http.post(f"/v1/conversations/{conversation_id}/stop").status_code == 204


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"items": [], "metadata": {}}, 400, "Mistral's form"),
        ({"inputs": "Hi", "agent_id": "ag_1"}, 400, "no agents"),
        ({"inputs": "Hi"}, 400, "Name the model"),
        ({"inputs": "", "model": "fake"}, 400, "nothing to answer"),
        ({"inputs": "Hi", "model": "none"}, 404, "no model none"),
        ({"inputs": "Hi", "model": "fake", "tools": [{"type": "web_search"}]}, 400, "web_search"),
        (
            {"inputs": [{"type": "function.result", "content": "x"}], "model": "fake"},
            400,
            "function.result",
        ),
        (
            {
                "inputs": "Hi",
                "model": "fake",
                "tools": [{"type": "document_library", "library_ids": ["lib_9"]}],
            },
            404,
            "no library lib_9",
        ),
    ],
)
def test_a_refusal_says_what_to_do(
    http: TestClient, body: dict[str, Any], status: int, says: str
) -> None:
    answer = http.post("/v1/conversations", json=body)
    assert answer.status_code == status
    assert says in answer.json()["message"]
    assert http.get("/v1/conversations").json() == []


def test_unknown_fields_are_named_and_ignored(http: TestClient) -> None:
    body = {"inputs": "Capital?", "model": "fake", "guardrails": [], "x": 1}
    answer = http.post("/v1/conversations", json=body)
    assert answer.headers["x-ponant-ignored-parameters"] == "guardrails, x"


def test_a_stranger_sees_nothing(http: TestClient, services: Platform, live: FakeKnowledge) -> None:
    body = {"inputs": _QUESTION, "model": "fake", "tools": [_LIBRARY]}
    answer = http.post("/v1/conversations", json=body).json()
    conversation_id = answer["conversation_id"]
    [source] = answer["ponant"]["sources"]
    stranger = add_organisation(services.database, services.clock, "Strangers")
    headers = {"Authorization": f"Bearer {key_of(services.accounts, stranger)}"}
    assert http.get("/v1/conversations", headers=headers).json() == []
    base = f"/v1/conversations/{conversation_id}"
    for method, path, sent in (
        ("GET", base, None),
        ("POST", base, {"inputs": "Hi"}),
        ("DELETE", base, None),
        ("GET", f"{base}/history", None),
        ("GET", f"{base}/messages", None),
        ("GET", f"{base}/events", None),
        ("POST", f"{base}/stop", None),
        ("POST", f"{base}/restart", {"from_entry_id": "msg_1"}),
        ("GET", f"/v1/passages/{source['passage_id']}?library_id=lib_1", None),
        ("POST", "/v1/conversations", body),
    ):
        assert http.request(method, path, json=sent, headers=headers).status_code == 404, path
    reference = {"id": source["passage_id"], "hash": source["hash"], "library_id": "lib_1"}
    checked = http.post(
        "/v1/passages/check", json={"passages": [reference]}, headers=headers
    ).json()["data"]
    assert [one["state"] for one in checked] == ["gone"]
    assert http.get(base).status_code == 200


def test_every_request_needs_a_key(app: FastAPI) -> None:
    with TestClient(app, base_url=BASE_URL) as nobody:
        assert nobody.get("/v1/conversations").status_code == 401
        assert nobody.post("/v1/passages/check", json={"passages": []}).status_code == 401


def _events(text: str) -> list[dict[str, Any]]:
    lines = [line for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]
