"""What the attacks share: how a hostile client asks, and what a refusal must look like."""

import json
import time
from typing import Any

import httpx

from tests.api.test_errors import check_body
from tests.patience import tries

MIB = 1 << 20
ENDLESS = {"/v1/libraries/events", "/v1/watches/events"}


def refused(answer: httpx.Response, *statuses: int) -> None:
    assert answer.status_code in statuses, answer.text[:300]
    check_body(answer.json(), answer.status_code)
    assert "Traceback" not in answer.text


def ask(client: httpx.Client, **fields: Any) -> httpx.Response:
    """A chat with the echo model; what JSON proper cannot say, Python's says."""
    body = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]} | fields
    return send(client, "/v1/chat/completions", json.dumps(body))


def send(client: httpx.Client, address: str, body: str | bytes) -> httpx.Response:
    return client.post(address, content=body, headers={"Content-Type": "application/json"})


def still_answers(client: httpx.Client) -> None:
    answer = ask(client)
    assert answer.json()["choices"][0]["message"]["content"] == "hello"


def read(client: httpx.Client, library: str, document: str) -> dict[str, Any]:
    """A document once it was read."""
    for _ in tries():
        found: dict[str, Any] = client.get(f"/v1/libraries/{library}/documents/{document}").json()
        if found["process_status"] != "in_progress":
            return found
        time.sleep(0.1)
    raise AssertionError(f"{found} is still being read")
