"""The prompt pages of closed documents, in the real engine: found again by nobody else's prompt."""

import json

import httpx
import pytest

from tests.access.office import until
from tests.server import Server

_TEXT = (
    "# Bonus\n\n" + "The bonus of the night shift is paid in March, in cash, by the warden. " * 4
)
_QUESTION = "When is the bonus of the night shift paid?"


@pytest.mark.model
def test_equal_prompts_under_different_lists_share_no_page(server: Server) -> None:
    with server.client() as http:
        me = http.get("/v1/users/me").json()["id"]
        first = _closed(http, "First", [f"person:{me}"])
        same = _closed(http, "Second", [f"person:{me}"])
        other = _closed(http, "Third", [f"person:{me}", "group:Somebody"])
        shared = _closed(http, "Fourth", None)
        assert _cached(http, first) == 0
        assert _cached(http, first) > 0, "an equal prompt of the same list is found again"
        assert _cached(http, same) > 0, "in another library, too"
        assert _cached(http, other) == 0
        assert _cached(http, shared) == 0
        assert _cached(http, other) > 0
        assert _cached(http, shared) > 0


def _closed(http: httpx.Client, name: str, access: list[str] | None) -> str:
    """A library with the one document, under a list; its id."""
    library = str(http.post("/v1/libraries", json={"name": name}).json()["id"])
    form = {} if access is None else {"access": json.dumps(access)}
    file = {"file": ("bonus.md", _TEXT.encode())}
    http.post(f"/v1/libraries/{library}/documents", files=file, data=form)
    until(
        lambda: http.get(f"/v1/libraries/{library}").json()["freshness"],
        lambda fresh: fresh["state"] == "in_step" and fresh["version"] > 0,
    )
    return library


def _cached(http: httpx.Client, library: str) -> int:
    """How many tokens of the prompt were found in the cache."""
    body = {
        "inputs": _QUESTION,
        "model": "starter",
        "tools": [{"type": "document_library", "library_ids": [library]}],
        "completion_args": {"max_tokens": 8},
        "stream": False,
        "store": False,
    }
    answer = http.post("/v1/conversations", json=body).json()
    assert answer["usage"]["prompt_tokens"] > 0, answer
    return int(answer["usage"]["prompt_tokens_details"]["cached_tokens"])
