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


@pytest.mark.model
def test_pages_of_a_deleted_document_are_found_again_by_no_prompt(server: Server) -> None:
    with server.client() as http:
        access = ["group:Nobody else", f"person:{http.get('/v1/users/me').json()['id']}"]
        library = _closed(http, "Forgotten", access)
        _cached(http, library)
        kept = _cached(http, library)
        (document,) = http.get(f"/v1/libraries/{library}/documents").json()["data"]
        http.delete(f"/v1/libraries/{library}/documents/{document['id']}").raise_for_status()
        _put(http, library, access)
        assert _cached(http, library) < kept, "the prompt is the same, the passages are others"
        assert _cached(http, library) == kept


def _closed(http: httpx.Client, name: str, access: list[str] | None) -> str:
    """A library with the one document, under a list; its id."""
    library = str(http.post("/v1/libraries", json={"name": name}).json()["id"])
    _put(http, library, access)
    return library


def _put(http: httpx.Client, library: str, access: list[str] | None) -> None:
    """Add the document and wait until it can be found."""
    form = {} if access is None else {"access": json.dumps(access)}
    file = {"file": ("bonus.md", _TEXT.encode())}
    http.post(f"/v1/libraries/{library}/documents", files=file, data=form).raise_for_status()
    ask = {"query": _QUESTION}
    until(
        lambda: http.post(f"/v1/libraries/{library}/search", json=ask).json()["data"],
        lambda hits: any(hit["vector_rank"] for hit in hits),
    )


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
