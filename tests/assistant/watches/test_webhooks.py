"""Webhooks are told of changes, signed, as long as their owner may read and their key is there."""

import base64
import hashlib
import hmac
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from ponant.assistant.watches import Setup
from ponant.assistant.watches.webhooks import PAUSES
from ponant.kit.errors import BadRequest, Forbidden
from ponant.kit.network import Network
from ponant.kit.sealing import FILE
from tests.assistant.watches.asking import (
    MINUTE,
    PAGE,
    QUESTION,
    make_watch,
    says,
    wait,
)
from tests.assistant.watches.conftest import Post, watches_of

pytestmark = pytest.mark.anyio


class _Hook(ThreadingHTTPServer):
    """Takes deliveries, and answers each with the next of some statuses; 200 after the last."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses: list[int] = []
        self.taken: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: _Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.taken.append(({k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _serving() -> Iterator[_Hook]:
    with _Hook() as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
async def hook(post: Post) -> AsyncIterator[_Hook]:
    post.watches = watches_of(post, post.model, network=Network(["127.0.0.0/8"]))
    await post.watches.load()
    with _serving() as server:
        yield server


async def test_a_webhook_is_told_of_changes_signed_and_again_until_it_takes_them(
    post: Post, library: str, hook: _Hook
) -> None:
    watch, secret = await post.watches.create(post.owner, _setup(library, hook))
    assert secret is not None
    await post.watches.step()
    assert hook.taken == []  # the first answer is no change
    hook.statuses = [500, 503]
    await says(post, library, "09:00")
    await wait(post, MINUTE)
    await wait(post, PAUSES[0])
    post.watches = watches_of(post, post.model, network=Network(["127.0.0.0/8"]))
    await post.watches.load()  # a restart goes on where it was
    await wait(post, PAUSES[1])
    await wait(post, PAUSES[2])
    assert len(hook.taken) == 3
    assert len({headers["webhook-id"] for headers, _ in hook.taken}) == 1
    assert _is_signed(hook.taken[-1], secret)
    _, body = hook.taken[-1]
    said_there = json.loads(body)
    assert said_there["type"] == "watch.changed"
    assert "08:30" in said_there["data"]["old"]["text"]
    assert "09:00" in said_there["data"]["new"]["text"]
    assert said_there["data"]["moved"][0]["what"] == "changed"
    delivery = (await post.watches.deliveries(post.owner, watch.id))[0]
    assert (delivery.state, delivery.attempts) == ("done", 3)


async def test_a_webhook_tried_again_is_not_told_what_was_closed_meanwhile(
    post: Post, library: str, hook: _Hook
) -> None:
    await make_watch(post, library, webhook=hook.url)
    hook.statuses = [500]
    await says(post, library, "09:00")
    await wait(post, MINUTE)
    first = json.loads(hook.taken[0][1])["data"]
    assert first["moved"][0]["after"] == PAGE.format("09:00").strip()
    (desk,) = [
        one
        for one in await post.live.list_documents(post.owner.scope, library)
        if one.name == "desk.md"
    ]
    await post.live.access.set(post.owner.scope, library, desk.id, ["person:somebody-else"])
    await wait(post, PAUSES[0])
    again = json.loads(hook.taken[1][1])["data"]
    assert again["id"] == first["id"]
    assert [(one["before"], one["after"]) for one in again["moved"]] == [(None, None)]
    assert "desk.md" not in hook.taken[1][1].decode()


async def test_a_webhook_is_told_no_more_once_its_owner_may_not_read_here(
    post: Post, library: str, hook: _Hook
) -> None:
    key = post.accounts.create_key(post.owner, "script")
    caller = post.accounts.principal_for_key(key.key)
    watch = await make_watch(post, library, caller, webhook=hook.url)
    hook.statuses = [500]
    await says(post, library, "09:00")
    await wait(post, MINUTE)
    post.accounts.revoke_key(post.owner, key.info.id)
    await wait(post, MINUTE)
    told = [json.loads(body)["type"] for _, body in hook.taken]
    assert told == ["watch.changed", "watch.paused"]
    states = [one.state for one in await post.watches.deliveries(post.owner, watch.id)]
    assert sorted(states) == ["dead", "done"]


async def test_a_webhook_that_never_answers_well_is_given_up_in_sight(
    post: Post, library: str, hook: _Hook
) -> None:
    watch = await make_watch(post, library, webhook=hook.url)
    hook.statuses = [500] * 20
    await says(post, library, "09:00")
    await wait(post, MINUTE)
    for pause in (*PAUSES, *PAUSES):
        await wait(post, pause)
    assert len(hook.taken) == len(PAUSES) + 1
    delivery = (await post.watches.deliveries(post.owner, watch.id))[0]
    assert (delivery.state, delivery.error) == ("dead", "It answered 500.")


async def test_a_webhook_inside_this_network_is_refused(post: Post, library: str) -> None:
    for url in (
        "http://127.0.0.1:8000/v1/keys",
        "http://localhost/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/",
        "http://10.0.0.7/",
    ):
        with pytest.raises(Forbidden):
            await make_watch(post, library, webhook=url)
    for url in ("file:///etc/passwd", "gopher://x/", "nothing", "https://me:secret@example.org/"):
        with pytest.raises(BadRequest):
            await make_watch(post, library, webhook=url)


def _on_disk(post: Post) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(post.home.glob("ponant.db*")))


async def _restarted(post: Post) -> None:
    post.watches = watches_of(post, post.model, network=Network(["127.0.0.0/8"]))
    await post.watches.load()


async def test_the_database_holds_no_plain_secret_and_one_of_before_is_sealed(
    post: Post, library: str, hook: _Hook
) -> None:
    watch, secret = await post.watches.create(post.owner, _setup(library, hook))
    assert secret is not None
    bare = secret.removeprefix("whsec_").encode()
    assert bare not in _on_disk(post)

    with sqlite3.connect(post.home / "ponant.db") as database:  # as a version without seals
        database.execute("UPDATE watches SET secret = ?", (secret,))
    database.close()
    assert bare in _on_disk(post)
    await _restarted(post)
    assert bare not in _on_disk(post)
    await post.watches.step()
    await says(post, library, "09:00")
    await wait(post, MINUTE)
    await wait(post, MINUTE)
    assert _is_signed(hook.taken[-1], secret)

    _, another = await post.watches.update(post.owner, watch.id, watch.setup, new_secret=True)
    assert another is not None
    assert another != secret
    assert another.removeprefix("whsec_").encode() not in _on_disk(post)


async def test_without_its_key_a_watch_pauses_in_sight_and_tells_all_once_it_is_back(
    post: Post, library: str, hook: _Hook
) -> None:
    watch, secret = await post.watches.create(post.owner, _setup(library, hook))
    assert secret is not None
    await post.watches.step()
    hook.statuses = [500]
    await says(post, library, "09:00")
    await wait(post, MINUTE)  # refused once, and due again
    key = (post.home / FILE).read_bytes()
    (post.home / FILE).unlink()
    await _restarted(post)
    for _ in range(len(PAUSES) + 2):
        await wait(post, max(PAUSES))
    shown = await post.watches.get(post.owner, watch.id)
    assert shown.state == "paused"
    assert "Put it back from a backup" in shown.reason
    assert "Or give the watch a new secret" in shown.reason
    assert {one.state for one in await post.watches.deliveries(post.owner, watch.id)} == {"due"}

    (post.home / FILE).write_bytes(key)
    await wait(post, 2 * MINUTE)
    await wait(post, 2 * MINUTE)
    assert (await post.watches.get(post.owner, watch.id)).state == "in_step"
    kinds = [json.loads(body)["type"] for _, body in hook.taken]
    assert sorted(kinds[1:]) == ["watch.changed", "watch.paused", "watch.resumed"]
    assert all(_is_signed(one, secret) for one in hook.taken)


async def test_a_new_secret_mends_one_whose_key_is_gone(
    post: Post, library: str, hook: _Hook
) -> None:
    watch, _ = await post.watches.create(post.owner, _setup(library, hook))
    await post.watches.step()
    (post.home / FILE).unlink()
    await _restarted(post)
    await wait(post, MINUTE)
    assert (await post.watches.get(post.owner, watch.id)).state == "paused"
    _, secret = await post.watches.update(post.owner, watch.id, watch.setup, new_secret=True)
    assert secret is not None
    await wait(post, 2 * MINUTE)
    await wait(post, 2 * MINUTE)
    assert (await post.watches.get(post.owner, watch.id)).state == "in_step"
    assert _is_signed(hook.taken[-1], secret)


def _setup(library: str, hook: _Hook) -> Setup:
    return Setup(
        kind="question",
        query=QUESTION,
        model="extractor",
        library_ids=(library,),
        webhook=hook.url,
    )


def _is_signed(taken: tuple[dict[str, str], bytes], secret: str) -> bool:
    headers, body = taken
    said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mark = base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode()
    return headers["webhook-signature"] == f"v1,{mark}"
