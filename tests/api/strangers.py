"""What somebody of another organisation tries on each resource.

A route that serves something of a workspace's belongs in one of the lists.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass(frozen=True)
class Resource:
    """A kind of thing, how its owner makes one, and how a stranger reaches for it.

    Attributes:
        make: makes one as its owner and returns its id.
        listings: addresses whose answers must not name it.
        reaches: method, address with ``{id}``, and body; each must be answered with 404.
    """

    name: str
    make: Callable[[httpx.Client], str]
    listings: tuple[str, ...] = ()
    reaches: tuple[tuple[str, str, Any], ...] = field(default=())


def check(resource: Resource, owner: httpx.Client, stranger: httpx.Client) -> None:
    """Fail where the stranger learns or changes anything of the owner's."""
    made = resource.make(owner)
    for listing in resource.listings:
        before = owner.get(listing)
        assert made in before.text, f"the owner finds {made} at {listing}"
        answer = stranger.get(listing)
        assert answer.status_code == 200
        assert made not in answer.text
    for method, address, body in resource.reaches:
        answer = stranger.request(method, address.format(id=made), json=body)
        invented = stranger.request(method, address.format(id=made[:-8] + "0" * 8), json=body)
        assert answer.status_code == invented.status_code == 404, f"{method} {address}"
    for listing in resource.listings:
        assert made in owner.get(listing).text, f"{made} is still at {listing}"


def make_key(owner: httpx.Client) -> str:
    made = owner.post("/v1/admin/api-keys", json={"name": "of the owner"}).json()
    return str(made["id"])


def make_group(owner: httpx.Client) -> str:
    names = [one["name"] for one in owner.get("/v1/groups").json()["data"]]
    made = owner.post("/v1/groups", json={"name": f"Group {len(names) + 1}"}).json()
    return str(made["id"])


ACCOUNTS = [
    Resource(
        "key",
        make_key,
        listings=("/v1/admin/api-keys",),
        reaches=(("DELETE", "/v1/admin/api-keys/{id}", None),),
    ),
]


def make_library(owner: httpx.Client) -> str:
    made = owner.post("/v1/libraries", json={"name": "of the owner"}).json()
    return str(made["id"])


def make_file(owner: httpx.Client) -> str:
    file = {"file": ("owner.md", b"of the owner")}
    return str(owner.post("/v1/files", files=file).json()["id"])


def make_conversation(owner: httpx.Client) -> str:
    asked = {"inputs": "of the owner", "model": "echo", "stream": False}
    return str(owner.post("/v1/conversations", json=asked).json()["conversation_id"])


SERVED = [
    Resource(
        "group",
        make_group,
        listings=("/v1/groups",),
        reaches=(("DELETE", "/v1/groups/{id}", None),),
    ),
    Resource(
        "file",
        make_file,
        listings=("/v1/files",),
        reaches=(
            ("GET", "/v1/files/{id}", None),
            ("GET", "/v1/files/{id}/content", None),
            ("GET", "/v1/files/{id}/url", None),
            ("DELETE", "/v1/files/{id}", None),
        ),
    ),
    Resource(
        "vector store",
        make_library,
        listings=("/v1/vector_stores",),
        reaches=(
            ("GET", "/v1/vector_stores/{id}", None),
            ("POST", "/v1/vector_stores/{id}", {"name": "mine"}),
            ("GET", "/v1/vector_stores/{id}/files", None),
            ("POST", "/v1/vector_stores/{id}/search", {"query": "owner"}),
            ("GET", "/v1/libraries/{id}/access", None),
            ("GET", "/v1/libraries/{id}/share", None),
            ("DELETE", "/v1/vector_stores/{id}", None),
        ),
    ),
    Resource(
        "library",
        make_library,
        listings=("/v1/libraries",),
        reaches=(
            ("GET", "/v1/libraries/{id}", None),
            ("PUT", "/v1/libraries/{id}", {"name": "mine"}),
            ("GET", "/v1/libraries/{id}/documents", None),
            ("GET", "/v1/libraries/{id}/questions", None),
            ("POST", "/v1/libraries/{id}/search", {"query": "owner"}),
            ("DELETE", "/v1/libraries/{id}", None),
        ),
    ),
    Resource(
        "conversation",
        make_conversation,
        listings=("/v1/conversations",),
        reaches=(
            ("GET", "/v1/conversations/{id}", None),
            ("GET", "/v1/conversations/{id}/history", None),
            ("GET", "/v1/conversations/{id}/messages", None),
            ("POST", "/v1/conversations/{id}", {"inputs": "more", "stream": False}),
            ("DELETE", "/v1/conversations/{id}", None),
        ),
    ),
]
