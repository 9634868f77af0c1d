"""Sources over HTTP: who may add which, what is pushed, and what is never shown."""

import base64
import time

import pytest

from tests.api.test_libraries import _Server, server
from tests.patience import PATIENCE

__all__ = ["server"]


def _library(server: _Server) -> str:
    with server.http() as http:
        return str(http.post("/v1/libraries", json={"name": "Sources"}).json()["id"])


def test_a_push_is_found_by_a_search_for_its_version(server: _Server) -> None:
    library = _library(server)
    with server.http() as http:
        content = base64.b64encode(b"The keys hang by the door.").decode()
        body = {
            "documents": [
                {"key": "crm/7", "version": 1, "text": "The boiler is cold."},
                {"key": "keys.txt", "content": content, "metadata": {"floor": 2}},
            ]
        }
        pushed = http.post(f"/v1/libraries/{library}/push", json=body).json()
        assert [one["state"] for one in pushed["documents"]] == ["stored", "stored"]
        search = {"query": "boiler keys", "at_least": pushed["version"]}
        found = http.post(f"/v1/libraries/{library}/search", json=search).json()
        assert {hit["text"] for hit in found["data"]} == {
            "The boiler is cold.",
            "The keys hang by the door.",
        }
        one = http.put(f"/v1/libraries/{library}/push/crm/7", json={"version": 1, "text": "x"})
        assert one.json()["documents"][0]["state"] == "unchanged"
        gone = http.delete(f"/v1/libraries/{library}/push/crm/7?version=2").json()
        assert gone["documents"][0]["state"] == "deleted"
        wrong = http.post(f"/v1/libraries/{library}/push", json={"documents": [{"text": "x"}]})
        assert wrong.status_code == 422


def test_who_only_reads_neither_pushes_nor_adds(server: _Server) -> None:
    library = _library(server)
    with server.http(server.viewer) as http:
        assert http.put(f"/v1/libraries/{library}/push/a", json={"text": "x"}).status_code == 403
        source = {"kind": "web", "config": {"url": "https://example.org"}}
        assert http.post(f"/v1/libraries/{library}/sources", json=source).status_code == 403
        assert http.post(f"/v1/libraries/{library}/retry").status_code == 403
    with server.http(server.stranger) as http:
        assert http.put(f"/v1/libraries/{library}/push/a", json={"text": "x"}).status_code == 404
        assert http.get(f"/v1/libraries/{library}/failed").status_code == 404


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("web", {"url": "http://127.0.0.1:1/"}),
        ("web", {"url": "http://localhost:1/"}),
        ("web", {"url": "http://[::1]:1/"}),
        ("web", {"url": "http://[::ffff:127.0.0.1]:1/"}),
        ("web", {"url": "http://169.254.169.254/latest/meta-data"}),
        ("webdav", {"url": "http://10.0.0.1/dav"}),
        ("s3", {"bucket": "documents", "endpoint": "http://192.168.0.1:9000"}),
        ("git", {"repository": "http://172.16.0.1/team/handbook.git"}),
        ("git", {"repository": "/etc"}),
        ("folder", {"path": "/etc"}),
        ("kafka", {"servers": "kafka.example.org:9092", "topic": "orders"}),
        ("webdav", {"url": "https://example.org/dav", "username": "a", "password_env": "HOME"}),
    ],
)
def test_an_administrator_reaches_neither_the_machine_nor_its_network(
    server: _Server, kind: str, config: dict[str, str]
) -> None:
    library = _library(server)
    with server.http() as http:
        source = {"kind": kind, "config": config}
        answer = http.post(f"/v1/libraries/{library}/sources", json=source)
        assert answer.status_code == 403, answer.text
        assert "ponant live add" in answer.text or "Send the secret" in answer.text


@pytest.mark.parametrize(
    ("kind", "config", "secrets"),
    [
        ("carrier-pigeon", {}, None),
        ("web", {}, None),
        ("web", {"url": "file:///etc/passwd"}, None),
        ("web", {"url": "https://ada:secret@example.org"}, None),
        ("web", {"url": "https://example.org", "unknown": 1}, None),
        ("web", {"url": "https://example.org"}, {"password": "x"}),
        ("git", {"repository": "ssh://example.org/x.git"}, None),
        ("s3", {"bucket": "../x"}, None),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    server: _Server, kind: str, config: dict[str, object], secrets: dict[str, str] | None
) -> None:
    library = _library(server)
    with server.http() as http:
        source = {"kind": kind, "config": config, "secrets": secrets}
        answer = http.post(f"/v1/libraries/{library}/sources", json=source)
        assert answer.status_code == 400, answer.text


def test_kinds_say_what_they_take(server: _Server) -> None:
    with server.http() as http:
        kinds = {one["name"]: one for one in http.get("/v1/sources/kinds").json()["data"]}
    assert {"folder", "git", "push", "s3", "web", "webdav"} <= kinds.keys()
    assert kinds["webdav"]["secrets"] == ["password"]
    assert kinds["webdav"]["signs_in_as"] == ["username"]
    assert all(kind["hint"] and kind["settings"] for kind in kinds.values())
    web = kinds["web"]["settings"]["$defs"]["WebConfig"]["properties"]
    assert web["max_pages"]["description"] == "Most pages to read."
    kafka = kinds["kafka"]["settings"]["$defs"]["KafkaConfig"]["properties"]
    assert kafka["metadata"]["description"] == "The fields that searches may filter by."


def test_a_secret_is_never_shown_again(server: _Server) -> None:
    library = _library(server)
    with server.http() as http:
        source = {
            "kind": "webdav",
            # A name that has no address: what is wrong is shown when it is tried.
            "config": {"url": "https://nowhere.invalid/dav", "username": "ada"},
            "secrets": {"password": "open sesame"},
        }
        added = http.post(f"/v1/libraries/{library}/sources", json=source)
        assert added.status_code == 201, added.text
        deadline = time.monotonic() + PATIENCE
        shown = http.get(f"/v1/libraries/{library}/sources")
        while shown.json()["data"][0]["state"] != "error":
            assert time.monotonic() < deadline
            time.sleep(0.05)
            shown = http.get(f"/v1/libraries/{library}/sources")
        assert "cannot be reached" in shown.json()["data"][0]["message"]
        assert "sesame" not in added.text + shown.text


def test_what_failed_is_listed_with_its_reason_and_tried_again(server: _Server) -> None:
    library = _library(server)
    with server.http() as http:
        content = base64.b64encode(b"\0\0").decode()
        http.put(f"/v1/libraries/{library}/push/a.txt", json={"content": content})
        failed = http.get(f"/v1/libraries/{library}/failed").json()["data"]
        assert [one["name"] for one in failed] == ["a.txt"]
        assert failed[0]["message"].startswith("The file cannot be read")
        assert http.post(f"/v1/libraries/{library}/retry").json() == {"retried": 0}
        file = {"file": ("b.txt", b"\0\0")}
        assert http.post(f"/v1/libraries/{library}/documents", files=file).status_code in (200, 201)
        deadline = time.monotonic() + PATIENCE
        while len(http.get(f"/v1/libraries/{library}/failed").json()["data"]) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert http.post(f"/v1/libraries/{library}/retry").json() == {"retried": 1}
