"""What an operator's own tools read off a running server."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.server import Server

pytestmark = pytest.mark.model


def test_health_needs_no_key_and_names_nothing(server: Server) -> None:
    told = httpx.get(f"{server.url}/health")
    assert told.status_code == 200
    assert told.json() == {"status": "ok"}


def test_metrics_count_requests_and_tokens(server: Server) -> None:
    def tokens() -> float:
        families = text_string_to_metric_families(httpx.get(f"{server.url}/metrics").text)
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == "ponant_tokens_total" and sample.labels["model"] == "echo"
        )

    before = tokens()
    with server.client() as client:
        ask = {"model": "echo", "messages": [{"role": "user", "content": "count me"}]}
        usage = client.post("/v1/chat/completions", json=ask).json()["usage"]
    assert tokens() - before == usage["total_tokens"]


def test_metrics_name_routes_and_not_what_was_typed(server: Server) -> None:
    with server.client() as client:
        client.get("/v1/models/a-secret-name")
    shown = httpx.get(f"{server.url}/metrics").text
    assert 'route="/v1/models/{model_id:path}"' in shown
    assert "a-secret-name" not in shown


def test_metrics_through_a_proxy_need_an_administrator(server: Server) -> None:
    through = {"X-Forwarded-For": "203.0.113.9"}
    assert httpx.get(f"{server.url}/metrics", headers=through).status_code == 401
    with server.client() as client:
        assert client.get("/metrics", headers=through).status_code == 200
