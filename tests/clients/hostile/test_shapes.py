"""Numbers, texts and shapes that no client of ours sends."""

import json
import threading
import time
from typing import Any

import httpx
import pytest

from tests.clients.hostile.asking import MIB, ask, refused, send, still_answers
from tests.server import Server

pytestmark = pytest.mark.model


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"temperature": 1e-300},
        {"top_p": float("nan")},
        {"logit_bias": {"65": float("nan")}},
        {"logit_bias": {"65": float("-inf")}},
        {"logit_bias": {str(token): -1e308 for token in range(259)}},
        {"logit_bias": {str(10**30): 1}},
        {"logit_bias": {str(token): 1.0 for token in range(100_000)}},
        {"repetition_penalty": 1e-300},
        {"seed": 10**30},
        {"max_tokens": 10**30},
        {"min_tokens": 10**30},
        {"top_k": 10**30},
        {"n": 17},
        {"stop": "a" * MIB},
        {"stop": ["a"] * 100_000},
        {"model": "\ud800"},
        {"messages": [1] * 100_000},
        {"messages": [{"role": "user", "content": [1] * 100_000}]},
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_a_number_or_a_list_out_of_bounds_is_refused(
    client: httpx.Client, fields: dict[str, Any]
) -> None:
    answer = ask(client, **fields)
    refused(answer, 400, 422)
    assert len(answer.content) < 10_000
    still_answers(client)


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        '{"model": "echo", "messages": ' + "[" * 900 + "]" * 900 + "}",
        '{"model": "echo", "seed": ' + "9" * 5000 + ', "messages": []}',
        '{"model": "echo", "messages": [{"role": "assistant", "tool_calls": [{"function": '
        '{"name": "x", "arguments": ' + "[" * 900 + "]" * 900 + "}}]}]}",
        b"\xff\xfe\x00",
        b"\x00",
    ],
    ids=lambda body: str(body)[:30],
)
def test_a_body_that_is_nested_or_broken_is_refused(
    client: httpx.Client, body: str | bytes
) -> None:
    refused(send(client, "/v1/chat/completions", body), 400, 422)


def test_ten_thousand_messages_are_answered(client: httpx.Client) -> None:
    answer = ask(client, messages=[{"role": "user", "content": "x"}] * 10_000)
    assert answer.status_code in {200, 400}


def test_a_token_that_no_vocabulary_has_is_refused(client: httpx.Client) -> None:
    for model in ("echo", "starter"):
        for more in ({}, {"suffix": "x"}, {"logit_bias": {"700000": 1}}):
            body = {"model": model, "prompt": [1, 700_000], "max_tokens": 1} | more
            refused(client.post("/v1/completions", json=body), 400)


def test_a_long_text_holds_up_nobody(client: httpx.Client, server: Server) -> None:
    long = "hello " * 600_000
    longest, waits = 0.0, list[float]()
    done = threading.Event()

    def watch() -> None:
        with server.client() as other:
            while not done.wait(0.05):
                began = time.monotonic()
                other.get("/v1/whoami")
                waits.append(time.monotonic() - began)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        for address, body in (
            ("/v1/conversations", {"inputs": long, "stream": False}),
            ("/v1/completions", {"prompt": long}),
        ):
            began = time.monotonic()
            refused(client.post(address, json={"model": "echo"} | body), 400)
            longest = max(longest, time.monotonic() - began)
            refused(
                client.post(address, json={"model": "echo"} | dict.fromkeys(body, long * 2)), 422
            )
    finally:
        done.set()
        watching.join()
    assert max(waits) < longest / 2  # who waits for the text waits as long as it takes


def test_metadata_that_no_json_reader_reads_is_not_stored(client: httpx.Client) -> None:
    for value in (float("nan"), float("inf"), "\ud800", "x" * MIB):
        body = json.dumps({"model": "echo", "inputs": "hi", "metadata": {"a": value}})
        refused(send(client, "/v1/conversations", body), 422)
    deep = '{"model": "echo", "inputs": "hi", "metadata": {"a": ' + "[" * 900 + "]" * 900 + "}}"
    refused(send(client, "/v1/conversations", deep), 422)
    assert client.get("/v1/conversations").status_code == 200


def test_parameters_write_no_headers(client: httpx.Client) -> None:
    named = {"a\r\nSet-Cookie: x=y": 1, "日本": 1} | {f"z{number}": 1 for number in range(10_000)}
    for address, body in (
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
        ("/v1/conversations", {"inputs": "x"}),
    ):
        answer = send(client, address, json.dumps({"model": "echo"} | body | named))
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
        assert len(answer.headers["x-ponant-ignored-parameters"]) < 2000


@pytest.mark.parametrize(
    "address",
    [
        "/%00",
        "/" + "a" * 5000,
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/assets/..%2f..%2fapp.py",
        "/assets/%2e%2e/%2e%2e/app.py",
        "/%2e%2e/app.py",
        "//etc/passwd",
        "/..%5c..%5capp.py",
    ],
)
def test_the_page_gives_no_file_but_its_own(client: httpx.Client, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code in {200, 404}
    assert "root:" not in answer.text
    assert "FastAPI" not in answer.text
    if answer.status_code == 404:
        refused(answer, 404)
