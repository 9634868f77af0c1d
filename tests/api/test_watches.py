"""A question is watched over HTTP: a file changes, and the answer's change comes as an event."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.patience import PATIENCE
from tests.server import Server, home_with_models, serving

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, models_home: Path) -> Iterator[Server]:
    """A server of this module's own, since watches live in it."""
    folder = tmp_path_factory.mktemp("watches")
    home = home_with_models(folder / "home", models_home)
    (folder / "docs").mkdir()
    with serving(home, {"PONANT_LIVE_ROOTS": str(folder / "docs")}) as running:
        yield running


def _docs(served: Server) -> Path:
    return served.home.parent / "docs"


def _library(client: httpx.Client, folder: Path) -> str:
    folder.mkdir()
    library: str = client.post("/v1/libraries", json={"name": folder.name}).json()["id"]
    body = {"kind": "folder", "config": {"path": str(folder)}}
    client.post(f"/v1/libraries/{library}/sources", json=body).raise_for_status()
    return library


def _holds(client: httpx.Client, library: str, text: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = client.post(f"/v1/libraries/{library}/search", json={"query": text}).json()
        if any(text in hit["text"] for hit in found["data"]):
            return
        time.sleep(0.1)
    raise AssertionError(f"nothing says {text}")


def _events(client: httpx.Client, headers: dict[str, str] | None = None) -> Iterator[dict]:
    """Parsed events, each with its name and number."""
    timeout = PATIENCE
    with client.stream("GET", "/v1/watches/events", headers=headers, timeout=timeout) as response:
        response.raise_for_status()
        event: dict = {}
        for line in response.iter_lines():
            if not line and "data" in event:
                yield event
                event = {}
            name, _, value = line.partition(": ")
            if name == "data":
                event |= {"data": json.loads(value)}
            elif name in {"id", "event"}:
                event |= {name: value}


def test_an_edit_brings_the_old_and_the_new_answer(served: Server) -> None:
    with served.client() as client:
        folder = _docs(served) / "handbook"
        library = _library(client, folder)
        (folder / "desk.md").write_text("# Desk\n\nThe reception desk opens at 08:30.\n")
        _holds(client, library, "opens at 08:30")
        watch = client.post(
            "/v1/watches",
            json={
                "query": "When does the reception desk open?",
                "library_ids": [library],
                "settle": 0.2,
            },
        )
        assert watch.status_code == 201, watch.text
        watch_id = watch.json()["id"]
        events = _events(client, {"Last-Event-ID": "0"})
        first = next(events)
        assert first["event"] == "watch.answered"
        assert "08:30" in first["data"]["new"]["text"]

        (folder / "desk.md").write_text("# Desk\n\nThe reception desk opens at 09:15.\n")
        changed = next(events)
        events.close()
        assert changed["event"] == "watch.changed"
        told = changed["data"]
        assert told["watch_id"] == watch_id
        assert "08:30" in told["old"]["text"]
        assert "09:15" in told["new"]["text"]
        assert [one["what"] for one in told["moved"]] == ["changed"]
        assert "08:30" in told["moved"][0]["before"]
        assert "09:15" in told["moved"][0]["after"]
        assert int(changed["id"]) > int(first["id"])

        again = next(_events(client, {"Last-Event-ID": first["id"]}))
        assert again == changed
        listed = client.get(f"/v1/watches/{watch_id}/events").json()["data"]
        assert [one["happening"] for one in listed] == ["changed", "answered"]
        shown = client.get(f"/v1/watches/{watch_id}").json()
        assert shown["state"] == "in_step"
        assert "09:15" in shown["answer"]["text"]
        assert shown["calls"] >= 2
