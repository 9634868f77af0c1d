"""A server for hostile clients, which leaves it as it was found."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.server import Server

_KEPT = (
    *("/v1/watches", "/v1/vector_stores", "/v1/files", "/v1/groups"),
    *("/v1/libraries", "/v1/conversations", "/v1/admin/api-keys"),
)


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    """The administrator, whose libraries, conversations and keys are taken away at the end."""
    with server.client() as client:
        yield client
        for address in _KEPT:
            answer = client.get(address)
            assert answer.status_code == 200, answer.text[:300]
            listed = answer.json()
            for one in listed if isinstance(listed, list) else listed["data"]:
                if address != "/v1/admin/api-keys" or one["name"].startswith("hostile"):
                    client.delete(f"{address}/{one['id']}")


@pytest.fixture(scope="module")
def description(client: httpx.Client) -> dict[str, Any]:
    described: dict[str, Any] = client.get("/v1/openapi.json").json()
    return described


@pytest.fixture(scope="module")
def library(client: httpx.Client) -> str:
    made = client.post("/v1/libraries", json={"name": "hostile"})
    return str(made.json()["id"])
