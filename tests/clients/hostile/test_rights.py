"""What a stranger, a viewer and another workspace may not do."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from ponant.accounts import Accounts
from ponant.kit import SystemClock
from ponant.store import Database
from tests.clients.hostile.asking import ENDLESS, read, refused
from tests.fakes.accounts import add_organisation, key_of
from tests.server import Server

pytestmark = pytest.mark.model

_OPEN = {
    "/health",
    "/metrics",
    "/v1/session",
    "/v1/signed/{token}",  # who was given the address needs no key
}
_WRITING = {"post", "put", "patch", "delete"}


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
        "tokens": 1,
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
    if path.endswith("/sources/{source_id}"):
        return {"secrets": {"password": "x"}}
    if path.endswith("/access"):
        return {"access": None}
    return bodies


def _own_things(client: httpx.Client, library: str) -> dict[str, str]:
    document = client.post(
        f"/v1/libraries/{library}/documents", files={"file": ("own.txt", b"The sea is calm here.")}
    ).json()["id"]
    read(client, library, document)
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
        "whose": "per_unknown",
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
        if path not in ENDLESS
    ]


def _filled(path: str) -> str:
    parts = ["lib_unknown" if part.startswith("{") else part for part in path.split("/")]
    return "/".join(parts)
