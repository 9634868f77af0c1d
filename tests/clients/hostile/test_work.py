"""Requests that would make the server work without end."""

import json
import socket
import struct
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.clients.hostile.asking import MIB, ask, refused, still_answers
from tests.server import Server

pytestmark = pytest.mark.model


@pytest.mark.parametrize(
    "form",
    [
        {"type": "regex", "regex": "((a{0,100}){0,100}){0,100}"},
        {"type": "regex", "regex": "(a|b)*a(a|b){5000}"},
        {"type": "regex", "regex": "(" * 100_000},
        {"type": "regex", "regex": "a{1,1000000000}"},
        {"type": "grammar", "grammar": "start: start"},
        {"type": "grammar", "grammar": 'start: a\na: a a a | "a" | ""'},
        {"type": "grammar", "grammar": 'start: a{1,100000}\na: b{1,100000}\nb: "a"'},
        {"type": "json_schema", "json_schema": {"schema": {"$ref": "#"}}},
        {"type": "json_schema", "json_schema": {"schema": {"$ref": "http://127.0.0.1:1/x"}}},
        {"type": "json_schema", "json_schema": {"schema": {"$ref": "file:///etc/passwd"}}},
        {"type": "json_schema", "json_schema": {"schema": {"minItems": 10**9, "items": {}}}},
        {
            "type": "json_schema",
            "json_schema": {
                "schema": {
                    "allOf": [{"type": "integer", "multipleOf": n} for n in (997, 991, 983, 977)]
                }
            },
        },
    ],
    ids=lambda form: str(form)[:60],
)
def test_a_grammar_that_explodes_ends_within_a_bound(
    client: httpx.Client, form: dict[str, Any]
) -> None:
    answer = ask(client, response_format=form, max_tokens=30, n=2)
    assert answer.status_code in {200, 400, 503}
    assert "<state>" not in answer.text
    if answer.status_code != 200:
        refused(answer, 400, 503)


def test_a_large_schema_is_compiled_once_for_all_choices(client: httpx.Client) -> None:
    still_answers(client)  # the model is loaded
    alone = _seconds_with_a_wide_schema(client, "a", choices=1)
    assert _seconds_with_a_wide_schema(client, "b", choices=16) < 8 * alone


def _seconds_with_a_wide_schema(client: httpx.Client, prefix: str, choices: int) -> float:
    """How long an answer takes whose schema nobody has used before."""
    wide = {"properties": {f"{prefix}{number}": {"type": "string"} for number in range(2000)}}
    form = {"type": "json_schema", "json_schema": {"schema": {"type": "object", **wide}}}
    began = time.monotonic()
    assert ask(client, response_format=form, max_tokens=2, n=choices).status_code == 200
    return time.monotonic() - began


def test_a_tool_refers_to_no_other_address(client: httpx.Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.5)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/schema.json"
        tool = {"name": "x", "parameters": {"properties": {"a": {"$ref": address}}}}
        asked = {"tools": [{"type": "function", "function": tool}], "tool_choice": "any"}
        refused(ask(client, **asked), 400)
        image = [{"type": "image_url", "image_url": {"url": address}}]
        refused(ask(client, messages=[{"role": "user", "content": image}]), 400)
        with pytest.raises(TimeoutError):
            listener.accept()


def test_one_request_makes_so_many_answers_at_most(client: httpx.Client) -> None:
    body = {"model": "echo", "prompt": ["x"] * 64, "n": 16, "max_tokens": 8000}
    refused(client.post("/v1/completions", json=body), 400)
    answer = ask(client, n=16, max_tokens=8000)
    assert len(answer.json()["choices"]) == 16


def test_a_reader_who_stops_reading_holds_up_nobody(client: httpx.Client, server: Server) -> None:
    before = _memory(server)
    text = "The wind blows from the west. " * 100
    body = {"model": "echo", "messages": [{"role": "user", "content": text}], "n": 16}
    content = json.dumps(body | {"stream": True}).encode()
    address = urlsplit(server.url)
    assert address.hostname
    with socket.create_connection((address.hostname, address.port or 80)) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Authorization: Bearer {server.key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        slow.sendall(head.encode() + content)
        for _ in range(10):
            still_answers(client)
            time.sleep(0.1)
        assert _memory(server) - before < 200 * MIB
        # Leave without a word, as a machine that lost its network does.
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    still_answers(client)


def _memory(server: Server) -> int:
    main = psutil.Process(server.process.pid)
    return sum(one.memory_info().rss for one in (main, *main.children(recursive=True)))
