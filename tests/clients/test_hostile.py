"""What a hostile client gets: a refusal that says why, and never the better of the server."""

import json
import socket
import struct
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from ponant.accounts import Accounts
from ponant.kit import SystemClock
from ponant.store import Database
from tests.api.test_errors import check_body
from tests.fakes.accounts import add_organisation, key_of
from tests.server import Server

pytestmark = pytest.mark.model

_WRITING = {"post", "put", "patch", "delete"}
_OPEN = {
    "/health",
    "/metrics",
    "/v1/session",
    "/v1/signed/{token}",  # who was given the address needs no key
}
_ENDLESS = {"/v1/libraries/events", "/v1/watches/events"}
_KEPT = (
    *("/v1/watches", "/v1/vector_stores", "/v1/files", "/v1/groups"),
    *("/v1/libraries", "/v1/conversations", "/v1/admin/api-keys"),
)
_EXAMPLES = 5  # of each mode for each route
MIB = 1 << 20


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


# What a machine thinks of


@pytest.mark.timeout(900)
def test_whatever_fits_the_description_is_answered_or_refused(
    client: httpx.Client, server: Server, description: dict[str, Any]
) -> None:
    schema = schemathesis.openapi.from_dict(description)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 30
    for operation in operations:
        if operation.path in _ENDLESS or operation.path == "/v1/libraries/sample":
            continue
        for mode in GenerationMode:
            _attack(operation, mode, server)
    still_answers(client)


def _attack(operation: Any, mode: GenerationMode, server: Server) -> None:
    """Send a few requests that fit the description, or a few that do not."""

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def attack(case: Any) -> None:
        if isinstance(case.body, dict):
            _keep_short(case.body, operation.path)
        answer = case.call(
            base_url=server.url, headers={"Authorization": f"Bearer {server.key}"}, timeout=30
        )
        _check_answer(f"{operation.method} {operation.path}", answer)

    with suppress(Unsatisfiable):  # a route that takes nothing can be given nothing wrong
        attack()


def _keep_short(body: dict[str, Any], path: str) -> None:
    body["model"] = "embed" if path == "/v1/embeddings" else "echo"
    if "max_tokens" in body:
        body["max_tokens"] = 4
    body.pop("n", None)
    if path == "/v1/admin/api-keys":
        body["name"] = f"hostile {body.get('name')}"


def _check_answer(asked: str, answer: Any) -> None:
    told = f"{asked}: {answer.status_code} {answer.text[:300]}"
    assert answer.status_code < 500, told
    assert "Traceback" not in answer.text, told
    kind = "".join(answer.headers.get("content-type", ()))
    if answer.status_code >= 400:
        assert kind == "application/json", told
        check_body(answer.json(), answer.status_code)
    elif answer.status_code == 204:
        assert not answer.content, told
    else:
        fits = ("application/json", "text/event-stream", "text/plain")
        assert kind.startswith(fits), told


# Numbers, texts and shapes


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
    waits: list[float] = []
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
            refused(client.post(address, json={"model": "echo"} | body), 400)
            refused(
                client.post(address, json={"model": "echo"} | dict.fromkeys(body, long * 2)), 422
            )
    finally:
        done.set()
        watching.join()
    assert max(waits) < 1.5


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


# Work without end


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
    began = time.monotonic()
    answer = ask(client, response_format=form, max_tokens=30, n=2)
    assert time.monotonic() - began < 20
    assert answer.status_code in {200, 400, 503}
    assert "<state>" not in answer.text
    if answer.status_code != 200:
        refused(answer, 400, 503)


def test_a_large_schema_is_compiled_once_for_all_choices(client: httpx.Client) -> None:
    wide = {"properties": {f"p{number}": {"type": "string"} for number in range(2000)}}
    form = {"type": "json_schema", "json_schema": {"schema": {"type": "object", **wide}}}
    began = time.monotonic()
    assert ask(client, response_format=form, max_tokens=2, n=16).status_code == 200
    assert time.monotonic() - began < 10


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


# Files


@pytest.fixture(scope="module")
def library(client: httpx.Client) -> str:
    made = client.post("/v1/libraries", json={"name": "hostile"})
    return str(made.json()["id"])


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../escaped.txt", "escaped.txt"),
        ("..\\..\\escaped.md", "escaped.md"),
        ("/tmp/escaped.html", "escaped.html"),
        ("%2e%2e%2fescaped.txt", "%2e%2e%2fescaped.txt"),
        (".env", None),
        ("../.bashrc", None),
        ("passwd", None),
        ("..", None),
        ("x" * 5000 + ".txt", None),
        ("\u202etxt.exe", None),
    ],
    ids=lambda value: str(value)[:25],
)
def test_an_upload_is_no_path(
    client: httpx.Client, server: Server, library: str, name: str, kept: str | None
) -> None:
    answer = client.post(f"/v1/libraries/{library}/documents", files={"file": (name, b"hello")})
    if kept is None:
        refused(answer, 400)
        return
    assert answer.status_code == 201
    assert answer.json()["name"] == kept
    stored = [path for path in server.home.rglob("*") if path.name.endswith(kept.split(".")[-1])]
    assert not any("escaped" in path.name for path in stored)
    assert not (server.home.parent / kept).exists()


def test_a_document_that_swells_fails_alone(client: httpx.Client, library: str) -> None:
    bomb = BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("word/document.xml", "w", force_zip64=True) as document:
            for _ in range(400):
                document.write(b" " * MIB)
    assert len(bomb.getvalue()) < MIB
    made = client.post(
        f"/v1/libraries/{library}/documents", files={"file": ("bomb.docx", bomb.getvalue())}
    )
    assert made.status_code == 201
    beside = client.post(
        f"/v1/libraries/{library}/documents", files={"file": ("beside.txt", b"The sea is calm.")}
    )
    assert _read(client, library, made.json()["id"])["process_status"] in {"error", "done"}
    assert _read(client, library, beside.json()["id"])["process_status"] == "done"


def _read(client: httpx.Client, library: str, document: str) -> dict[str, Any]:
    """A document once it was read."""
    deadline = time.monotonic() + 45
    while time.monotonic() < deadline:
        found: dict[str, Any] = client.get(f"/v1/libraries/{library}/documents/{document}").json()
        if found["process_status"] != "in_progress":
            return found
        time.sleep(0.1)
    raise AssertionError(f"{found} is still being read")


@pytest.mark.parametrize(
    "path", ["/etc", "/proc/self/root/etc", "\0", "/\0", "../..", "", "/" + "a" * 5000]
)
def test_no_source_lies_outside_the_roots(client: httpx.Client, library: str, path: str) -> None:
    body = {"kind": "folder", "config": {"path": path}}
    refused(client.post(f"/v1/libraries/{library}/sources", json=body), 400, 403)
    if path:
        refused(client.get("/v1/folders", params={"path": path}), 400, 403)


def test_no_source_is_an_address(client: httpx.Client, library: str) -> None:
    for kind in ("http", "url", "git", "folder"):
        body = {"kind": kind, "config": {"url": "http://127.0.0.1:1/"}}
        refused(client.post(f"/v1/libraries/{library}/sources", json=body), 400)


def test_a_link_out_of_the_roots_is_not_followed(
    client: httpx.Client, library: str, tmp_path: Path
) -> None:
    (tmp_path / "etc").symlink_to("/etc")
    body = {"kind": "folder", "config": {"path": str(tmp_path / "etc")}}
    refused(client.post(f"/v1/libraries/{library}/sources", json=body), 400, 403)


# Who may


def test_no_field_takes_an_address(description: dict[str, Any]) -> None:
    """The server fetches nothing for a caller; an upstream is added on the command line alone.

    Sources and webhooks name addresses, which are checked (tests/kit/test_network.py). A pushed
    document's is only shown.
    """
    schemas = description["components"]["schemas"]
    fields = {
        (title, name)
        for title, schema in schemas.items()
        for name in schema.get("properties", {})
        if "url" in name.lower() or "endpoint" in name.lower()
    }
    assert fields == {("PushedBody", "url"), ("KeyedBody", "url")}
    assert not [path for path in description["paths"] if "upstream" in path]


def test_every_route_needs_a_key(server: Server, description: dict[str, Any]) -> None:
    with httpx.Client(base_url=server.url) as nobody:
        for method, path in _routes(description):
            if path not in _OPEN:
                refused(nobody.request(method, _filled(path)), 401)


def test_a_viewer_changes_nothing(
    client: httpx.Client, server: Server, description: dict[str, Any]
) -> None:
    body = {"name": "hostile viewer", "role": "viewer"}
    key = client.post("/v1/admin/api-keys", json=body).json()["key"]
    reading = {
        ("post", "/v1/libraries/{library_id}/search"),
        ("post", "/v1/vector_stores/{store_id}/search"),
        ("post", "/v1/tables/query"),
        ("post", "/v1/passages/check"),
        ("post", "/v1/session"),
        ("delete", "/v1/session"),
    }
    own = {  # a viewer's own things, of which there are none
        ("delete", "/v1/conversations/{conversation_id}"),
        ("post", "/v1/conversations/{conversation_id}/stop"),
        ("delete", "/v1/admin/api-keys/{key_id}"),
        ("delete", "/v1/models/{model_id}"),
        ("delete", "/v1/watches/{watch_id}"),
        ("post", "/v1/watches/{watch_id}/pause"),
    }
    with server.client(key) as viewer:
        for method, path in _routes(description):
            if method not in _WRITING or (method, path) in reading:
                continue
            wanted = 404 if (method, path) in own else 403
            refused(viewer.request(method, _filled(path), json={}), wanted)


def test_ids_of_another_workspace_open_nothing(
    client: httpx.Client, server: Server, library: str, description: dict[str, Any], tmp_path: Path
) -> None:
    ids = _own_things(client, library)
    database = Database.at(server.home / "ponant.db")
    person = add_organisation(database, SystemClock(), "Hostile")
    key = key_of(Accounts(database, SystemClock()), person)
    database.close()
    bodies: dict[str, Any] = {
        "inputs": "x",
        "query": "sea",
        "name": "mine",
        "kind": "folder",
        "config": {"path": str(tmp_path)},
        "from_entry_id": ids["entry_id"],
        "level": "Viewer",
        "share_with_uuid": "per_unknown",
        "share_with_type": "User",
        "file_id": ids["file_id"],
        "attributes": {},
        "role": "admin",
    }
    tried = 0
    with server.client(key) as stranger:
        for method, path in _routes(description):
            # Names, unlike ids, are the caller's own: tables, inboxes, pipelines.
            if "{" not in path or "{model_id}" in path or "{name}" in path:
                continue
            files = {"file": ("x.txt", b"x")} if path.endswith("/documents") else None
            body = None if files or method == "get" else _fitting(path, bodies)
            answer = stranger.request(method, path.format_map(ids), json=body, files=files)
            assert answer.status_code in {403, 404}, f"{method} {path}: {answer.text[:200]}"
            for secret in ("calm", "beside.txt", "own.txt"):
                assert secret not in answer.text
            tried += 1
        listed = {"library_ids": [library], "type": "document_library"}
        asked = {"model": "echo", "inputs": "sea", "tools": [listed], "stream": False}
        refused(stranger.post("/v1/conversations", json=asked), 404)
        passage = {"id": ids["passage_id"], "hash": ids["hash"]}
        (state,) = stranger.post("/v1/passages/check", json={"passages": [passage]}).json()["data"]
        assert state["state"] == "gone"
    assert tried > 15
    assert client.get(f"/v1/libraries/{library}").json()["name"] == "hostile"


def _fitting(path: str, bodies: dict[str, Any]) -> dict[str, Any]:
    """A body that the route takes, so that it is refused for whose things it asks."""
    if path.endswith("/push"):
        return {"documents": [{"key": "x", "version": 1, "text": "x"}]}
    if "/push/" in path:
        return {"version": 1, "text": "x"}
    if path.endswith("/file_batches"):
        return {"file_ids": [bodies["file_id"]]}
    if path.endswith("/access"):
        return {"access": None}
    return bodies


def _own_things(client: httpx.Client, library: str) -> dict[str, str]:
    document = client.post(
        f"/v1/libraries/{library}/documents", files={"file": ("own.txt", b"The sea is calm here.")}
    ).json()["id"]
    _read(client, library, document)
    found = client.post(f"/v1/libraries/{library}/search", json={"query": "calm sea"}).json()
    hit = found["data"][0]
    said = client.post("/v1/conversations", json={"model": "echo", "inputs": "x", "stream": False})
    told = said.json()
    key = client.post("/v1/admin/api-keys", json={"name": "hostile target"}).json()["id"]
    watch = {"query": "Is the sea calm?", "model": "echo", "library_ids": [library]}
    file = client.post(
        "/v1/files", data={"purpose": "user_data"}, files={"file": ("f.txt", b"calm")}
    ).json()["id"]
    store = client.post("/v1/vector_stores", json={"name": "hostile", "file_ids": [file]})
    group = client.post("/v1/groups", json={"name": "hostile"}).json()["id"]
    return {
        "watch_id": client.post("/v1/watches", json=watch).json()["id"],
        "file_id": file,
        "store_id": store.json()["id"],
        "group_id": group,
        "batch_id": "vsfb_unknown",
        "key": "own.txt",
        "group": group,
        "person_id": "per_unknown",
        "workspace_id": "wsp_unknown",
        "token": "unknown",
        "library_id": library,
        "document_id": document,
        "source_id": "src_unknown",
        "passage_id": hit["passage_id"],
        "hash": hit["hash"],
        "conversation_id": told["conversation_id"],
        "entry_id": told["outputs"][0]["id"],
        "key_id": key,
    }


def _routes(description: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (method, path)
        for path, methods in description["paths"].items()
        for method in methods
        if path not in _ENDLESS
    ]


def _filled(path: str) -> str:
    parts = ["lib_unknown" if part.startswith("{") else part for part in path.split("/")]
    return "/".join(parts)


# From other sites' pages


@pytest.fixture
def browser(server: Server) -> Iterator[httpx.Client]:
    """Somebody who signed in by a link, having been given a cookie by an attacker before."""
    link = server.run("link").stdout.split("#token=")[1].split()[0]
    with httpx.Client(base_url=server.url, cookies={"ponant_session": "fixed"}) as browser:
        answer = browser.post("/v1/session", json={"token": link})
        assert answer.status_code == 200
        cookie = answer.headers["set-cookie"].lower()
        assert "samesite=strict" in cookie
        assert "httponly" in cookie
        value = answer.cookies["ponant_session"]
        browser.cookies.clear()
        browser.cookies.set("ponant_session", value)
        yield browser


def test_a_session_is_never_the_one_that_was_given(browser: httpx.Client, server: Server) -> None:
    assert browser.cookies["ponant_session"] != "fixed"
    assert browser.get("/v1/whoami").status_code == 200
    fixed = {"Cookie": "ponant_session=fixed"}
    refused(httpx.get(f"{server.url}/v1/whoami", headers=fixed), 401)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_another_sites_page_uses_no_session(browser: httpx.Client, origin: str) -> None:
    headers = {"Origin": origin, "Content-Type": "text/plain"}
    refused(browser.post("/v1/libraries", content='{"name": "x"}', headers=headers), 403)
    refused(browser.get("/v1/whoami", headers={"Origin": origin}), 403)


def test_a_form_of_another_site_makes_nothing(browser: httpx.Client) -> None:
    """A form can post text/plain without asking first; such a body is not read as JSON."""
    headers = {"Content-Type": "text/plain"}
    refused(browser.post("/v1/libraries", content='{"name": "x"}', headers=headers), 422)


def test_a_foreign_name_is_refused(client: httpx.Client) -> None:
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "a@127.0.0.1"):
        refused(client.get("/v1/whoami", headers={"Host": host}), 400, 421)


# What is left behind


def test_no_secret_reaches_the_log(client: httpx.Client, server: Server) -> None:
    mark = "pnt_" + "hostilesecret" * 3
    for headers in (
        {"Authorization": f"Bearer {mark}"},
        {"Authorization": f"Basic {mark}"},
        {"Cookie": f"ponant_session={mark}"},
        {"X-Api-Key": mark, "Host": f"{mark}.example"},
        {"Origin": f"http://{mark}.example"},
    ):
        assert httpx.get(f"{server.url}/v1/whoami?key={mark}", headers=headers).status_code >= 400
    client.get(f"/v1/models/{mark}")
    client.get(f"/{mark}?token={mark}")
    send(client, "/v1/session", json.dumps({"token": mark}))
    send(client, "/v1/chat/completions", mark)
    send(client, "/v1/chat/completions", json.dumps({"model": mark, "messages": mark}))
    ask(client, api_key=mark)
    ask(client, messages=[{"role": "user", "content": mark}])
    made = client.post("/v1/admin/api-keys", json={"name": "hostile log"}).json()
    with server.client(made["key"]) as other:
        assert other.get("/v1/whoami").status_code == 200
    log = server.log.read_text(errors="replace")
    assert "hostilesecret" not in log
    assert made["key"] not in log
    assert server.key not in log
