"""Reranking over HTTP, with a real model in its worker."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.patience import PATIENCE
from tests.server import Server, serving
from tests.serving.cross_encoder import write_cross_encoder

pytestmark = pytest.mark.model

_BODY = {
    "model": "judge",
    "query": "When does the office close?",
    "documents": ["Soup of leeks.", "The office closes at five.", {"text": "It rains."}],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, models_home: Path) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("rerank") / "home"
    home.mkdir(mode=0o700)
    write_cross_encoder(home / "models", models_home / "models" / "embed-en")
    with serving(home) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def test_documents_come_in_the_order_of_their_scores(client: httpx.Client) -> None:
    answer = client.post("/v1/rerank", json=_BODY).json()
    scores = [one["relevance_score"] for one in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert sorted(one["index"] for one in answer["results"]) == [0, 1, 2]
    texts = ["Soup of leeks.", "The office closes at five.", "It rains."]
    for one in answer["results"]:
        assert 0 <= one["relevance_score"] <= 1
        assert one["document"] == {"text": texts[one["index"]]}
    assert answer["model"] == "judge"
    assert answer["usage"]["total_tokens"] > 30


def test_the_best_alone_without_their_texts(client: httpx.Client) -> None:
    whole = client.post("/v1/rerank", json=_BODY).json()["results"]
    body = _BODY | {"top_n": 2, "return_documents": False, "rank_fields": ["text"]}
    answer = client.post("/v1/rerank", json=body)
    expected = [{name: one[name] for name in ("index", "relevance_score")} for one in whole[:2]]
    assert answer.json()["results"] == expected
    assert answer.headers["x-ponant-ignored-parameters"] == "rank_fields"


def test_the_tokens_are_counted(client: httpx.Client) -> None:
    def counted() -> int:
        rows = client.get("/v1/admin/usage", params={"by": "model"}).json()["data"]
        return sum(row["prompt_tokens"] for row in rows if row["group"] == "judge")

    before = counted()
    used = client.post("/v1/rerank", json=_BODY).json()["usage"]["prompt_tokens"]
    assert counted() == before + used


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"documents": []}, "documents"),
        ({"documents": ["a"] * 513}, "documents"),
        ({"documents": ["word " * 100]}, "documents"),
        ({"query": ""}, "query"),
        ({"model": "echo"}, "model"),
    ],
)
def test_what_cannot_be_ranked_is_refused_by_name(
    client: httpx.Client, change: dict[str, object], param: str
) -> None:
    answer = client.post("/v1/rerank", json=_BODY | change)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_nobody_ranks_without_a_key(server: Server) -> None:
    assert httpx.post(f"{server.url}/v1/rerank", json=_BODY).status_code == 401


def test_a_search_is_ordered_by_the_model_where_it_asks_for_that(client: httpx.Client) -> None:
    library = client.post("/v1/libraries", json={"name": "Office"}).json()
    address = f"/v1/libraries/{library['id']}"
    for name, text in (
        ("a.txt", "The office sells soup."),
        ("b.txt", "The office closes at five."),
    ):
        assert client.post(f"{address}/documents", files={"file": (name, text)}).is_success
    body = {"query": "When does the office close?", "limit": 2}
    plain = _until(client, f"{address}/search", body, 2)
    assert all(hit["rerank_score"] is None for hit in plain)
    ordered = client.post(f"{address}/search", json=body | {"rerank": True}).json()["data"]
    scores = [hit["rerank_score"] for hit in ordered]
    assert scores == sorted(scores, reverse=True)
    ranked = client.post(
        "/v1/rerank",
        json={"model": "judge", "query": body["query"], "documents": [h["text"] for h in plain]},
    ).json()["results"]
    best = plain[ranked[0]["index"]]
    assert ordered[0]["passage_id"] == best["passage_id"]
    assert ordered[0]["rerank_score"] == pytest.approx(ranked[0]["relevance_score"], abs=1e-5)
    bound = {"min_score": scores[0] + 0.01, "rerank": True}
    assert client.post(f"{address}/search", json=body | bound).json()["data"] == []


def _until(
    client: httpx.Client, address: str, body: dict[str, Any], count: int
) -> list[dict[str, Any]]:
    """What a search finds, once it finds so many."""
    end = time.monotonic() + PATIENCE
    while len(found := client.post(address, json=body).json()["data"]) < count:
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found
