"""Watches keep their pace, their owner's permissions and budget, and lose nothing."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from sqlalchemy import select

from ponant.accounts import Principal, Role
from ponant.assistant.watches import Setup, Watch, WatchEvent
from ponant.assistant.watches.webhooks import PAUSES
from ponant.billing.tables import UsageRow
from ponant.kit import PonantError
from ponant.kit.errors import BadRequest, Forbidden, NotFound, TooManyRequests, Unavailable
from ponant.kit.network import Network
from ponant.store import in_scope
from tests.assistant.watches.conftest import Post, watches_of
from tests.fakes.accounts import add_organisation, add_person
from tests.fakes.models import FakeModel
from tests.patience import tries

pytestmark = pytest.mark.anyio

_QUESTION = "When does the reception desk open?"
_PAGE = "# Desk\n\nThe reception desk opens at {}.\n"
_SETTLE = timedelta(seconds=5)
_MINUTE = timedelta(seconds=60)


@pytest.fixture
async def library(post: Post) -> str:
    made = await post.live.create_library(post.owner.scope, "Handbook")
    await post.live.write(post.owner.scope, made.id, "desk.md", _PAGE.format("08:30"))
    await post.live.write(post.owner.scope, made.id, "cats.md", "# Cats\n\nCats sleep by day.\n")
    return str(made.id)


async def _watch(
    post: Post, library: str, caller: Principal | None = None, **more: object
) -> Watch:
    setup = Setup(
        kind=more.pop("kind", "question"),
        query=_QUESTION,
        model="extractor",
        library_ids=(library,),
        **more,
    )
    watch, _ = await post.watches.create(caller or post.owner, setup)
    await post.watches.step()
    return await post.watches.get(caller or post.owner, watch.id)


async def _says(post: Post, library: str, time: str) -> None:
    await post.live.write(post.owner.scope, library, "desk.md", _PAGE.format(time))


async def _told(post: Post, caller: Principal | None = None) -> list[WatchEvent]:
    return list(await post.watches.since(caller or post.owner, 0))


async def _happenings(post: Post) -> list[str]:
    return [one.happening for one in await _told(post)]


async def _wait(post: Post, by: timedelta) -> None:
    post.clock.move(by)
    await post.watches.step()


async def test_changes_that_are_close_are_told_once_and_at_most_once_a_minute(
    post: Post, library: str
) -> None:
    watch = await _watch(post, library)
    assert watch.answer is not None
    assert watch.answer.text == "The reception desk opens at 08:30."
    assert [one.document_name for one in watch.answer.cited] == ["desk.md"]

    await _says(post, library, "09:00")
    await _wait(post, _SETTLE / 2)
    await _says(post, library, "09:15")
    assert await _happenings(post) == ["answered"]  # still settling
    await _wait(post, _SETTLE)
    events = await _told(post)
    assert [one.happening for one in events] == ["answered", "changed"]
    old, new = events[1].old, events[1].new
    assert old is not None
    assert new is not None
    assert (old.text, new.text) == (
        "The reception desk opens at 08:30.",
        "The reception desk opens at 09:15.",
    )
    assert [(one.what, one.before, one.after) for one in events[1].moved] == [
        ("changed", old.cited[0].text, new.cited[0].text)
    ]
    assert events[1].version == (await post.watches.get(post.owner, watch.id)).version

    await _says(post, library, "09:30")
    await _wait(post, _SETTLE)
    assert (await _happenings(post))[2:] == []  # within the minute
    await _wait(post, _MINUTE)
    assert (await _happenings(post))[2:] == ["changed"]
    assert post.model.calls == 3


async def test_moved_evidence_with_the_same_facts_is_noted_and_not_delivered(
    post: Post, library: str
) -> None:
    await _watch(post, library, webhook=None)
    await post.live.write(
        post.owner.scope, library, "plan.md", "# Plan\n\nThe reception desk opens at 08:30.\n"
    )
    await _wait(post, _MINUTE)
    assert await _happenings(post) == ["answered", "stands"]


async def test_an_edit_that_is_taken_back_in_time_asks_no_model(post: Post, library: str) -> None:
    await _watch(post, library)
    await _says(post, library, "09:00")
    await _says(post, library, "08:30")
    await _wait(post, _MINUTE)
    assert await _happenings(post) == ["answered"]
    assert post.model.calls == 1


async def test_a_search_is_told_of_other_passages_without_a_model(post: Post, library: str) -> None:
    watch = await _watch(post, library, kind="search")
    assert watch.answer is not None
    assert {one.document_name for one in watch.answer.passages} == {"desk.md", "cats.md"}
    await _says(post, library, "09:00")
    await _wait(post, _MINUTE)
    assert await _happenings(post) == ["answered", "changed"]
    assert post.model.calls == 0


async def test_a_statement_is_told_of_rows_that_came_and_went(post: Post) -> None:
    scope, tables = post.owner.scope, post.live.relations
    await tables.put_rows(scope, "stock", ["item"], [{"item": "lamp", "left": 3}], [])
    sql = 'SELECT item FROM stock WHERE "left" < 2'
    watch, _ = await post.watches.create(post.owner, Setup(kind="sql", query=sql))
    await post.watches.step()
    await tables.put_rows(scope, "stock", ["item"], [{"item": "lamp", "left": 1}], [])
    for _ in tries():
        await _wait(post, _MINUTE)
        if len(await _told(post)) > 1:
            break
        await asyncio.sleep(0.05)
    events = await _told(post)
    assert [one.happening for one in events] == ["answered", "changed"]
    assert events[1].old is not None
    assert events[1].new is not None
    assert (events[1].old.rows, events[1].new.rows) == ((), ({"item": "lamp"},))
    assert events[1].reason == "1 rows came, 0 went."
    assert post.model.calls == 0
    await post.watches.delete(post.owner, watch.id)
    with pytest.raises(BadRequest):
        await post.watches.create(post.owner, Setup(kind="sql", query="DROP TABLE stock"))


async def test_every_answer_is_on_the_owners_account(post: Post, library: str) -> None:
    watch = await _watch(post, library)
    await _says(post, library, "09:00")
    await _wait(post, _MINUTE)
    with post.database.read() as session:
        used = list(session.scalars(select(UsageRow).where(in_scope(UsageRow, post.owner.scope))))
    assert [one.person_id for one in used] == [post.owner.person_id] * 2
    kept = await post.watches.get(post.owner, watch.id)
    assert kept.calls == kept.calls_today == post.model.calls == 2
    assert sum(one.calls for one in await _told(post)) == 2


async def test_a_restart_loses_no_change_and_tells_none_twice(post: Post, library: str) -> None:
    await _watch(post, library)
    await _says(post, library, "09:00")
    await post.watches.close()  # before the change settled
    post.watches = post.again()
    await post.watches.load()
    await _wait(post, _MINUTE)
    await _wait(post, _MINUTE)
    assert await _happenings(post) == ["answered", "changed"]
    post.watches = post.again()
    await post.watches.load()
    await _wait(post, _MINUTE)
    assert await _happenings(post) == ["answered", "changed"]


async def test_a_model_that_does_not_answer_is_asked_again(post: Post, library: str) -> None:
    failing = FakeModel(
        [Unavailable("It is starting."), "The reception desk opens at 08:30. [1]"],
        name="extractor",
    )
    post.watches = watches_of(post, failing)
    watch = await _watch(post, library)
    assert watch.answer is None
    await _wait(post, _MINUTE)
    assert (await post.watches.get(post.owner, watch.id)).state == "in_step"


async def test_who_may_no_longer_answer_has_their_watch_paused_in_sight(
    post: Post, library: str
) -> None:
    admin = post.owner
    anna = add_person(post.database, post.clock, admin, "Anna", Role.MEMBER)
    watch = await _watch(post, library, anna)
    directory = post.accounts.directory
    directory.set_role(admin, anna.person_id, Role.VIEWER)
    await _says(post, library, "09:00")
    await _wait(post, _MINUTE)
    paused = await post.watches.get(anna, watch.id)
    assert paused.state == "paused"
    assert "viewer" in paused.reason
    assert paused.answer == watch.answer
    assert [one.happening for one in await _told(post, anna)] == ["answered", "paused"]

    directory.set_role(admin, anna.person_id, Role.MEMBER)
    await _wait(post, 2 * _MINUTE)
    assert [one.happening for one in await _told(post, anna)][2:] == ["changed"]
    assert (await post.watches.get(anna, watch.id)).state == "in_step"


async def test_a_revoked_key_ends_what_was_made_with_it_until_somebody_resumes(
    post: Post, library: str
) -> None:
    key = post.accounts.create_key(post.owner, "watching")
    caller = post.accounts.principal_for_key(key.key)
    watch = await _watch(post, library, caller)
    post.accounts.revoke_key(post.owner, key.info.id)
    await _wait(post, _MINUTE)  # nothing changed: it is seen all the same
    assert "revoked" in (await post.watches.get(post.owner, watch.id)).reason
    await post.watches.resume(post.owner, watch.id)
    await post.watches.step()
    assert (await post.watches.get(post.owner, watch.id)).state == "in_step"
    assert await _happenings(post) == ["answered", "paused", "resumed"]


async def test_the_days_calls_are_a_limit(post: Post, library: str) -> None:
    watch = await _watch(post, library, daily_calls=2)
    for minute in range(3):
        await _says(post, library, f"09:0{minute}")
        await _wait(post, _MINUTE)
    paused = await post.watches.get(post.owner, watch.id)
    assert paused.calls_today == post.model.calls == 2
    assert paused.state == "paused"
    assert "daily_calls" in paused.reason
    await _wait(post, timedelta(days=1))
    resumed = await post.watches.get(post.owner, watch.id)
    assert resumed.state == "in_step"
    assert resumed.answer is not None
    assert "09:02" in resumed.answer.text


async def test_a_limit_that_lasts_pauses_a_watch_in_sight_until_it_is_over(
    post: Post, library: str
) -> None:
    says: list[str | PonantError] = [
        "The reception desk opens at 08:30. [1]",
        TooManyRequests("The account is used up.", retry_after=3600),
        TooManyRequests("The account is used up.", retry_after=3600),
        "The reception desk opens at 09:00. [1]",
    ]
    post.watches = watches_of(post, FakeModel(says, name="extractor"))
    await post.watches.load()
    watch = await _watch(post, library)
    await _says(post, library, "09:00")
    await _wait(post, _MINUTE)
    paused = await post.watches.get(post.owner, watch.id)
    assert (paused.state, "used up" in paused.reason) == ("paused", True)
    await _wait(post, _MINUTE)
    await _wait(post, _MINUTE)
    resumed = await post.watches.get(post.owner, watch.id)
    assert resumed.state == "in_step"
    assert resumed.answer is not None
    assert "09:00" in resumed.answer.text
    assert await _happenings(post) == ["answered", "paused", "changed"]


async def test_a_library_that_goes_pauses_its_watches(post: Post, library: str) -> None:
    watch = await _watch(post, library)
    await post.live.delete_library(post.owner.scope, library)
    await post.live.standing.match()
    await _wait(post, _MINUTE)
    paused = await post.watches.get(post.owner, watch.id)
    assert paused.state == "paused"
    assert library in paused.reason


async def test_a_paused_watch_rests_until_it_is_resumed(post: Post, library: str) -> None:
    watch = await _watch(post, library)
    await post.watches.pause(post.owner, watch.id)
    await _says(post, library, "09:00")
    await _wait(post, 2 * _MINUTE)
    assert post.model.calls == 1
    await post.watches.resume(post.owner, watch.id)
    await post.watches.step()
    assert (await _happenings(post))[-1] == "changed"


async def test_watches_are_their_owners_alone(post: Post, library: str) -> None:
    watch = await _watch(post, library)
    anna = add_person(post.database, post.clock, post.owner, "Anna", Role.ADMIN)
    stranger = add_organisation(post.database, post.clock, "Elsewhere")
    for other in (anna, stranger):
        assert list(await post.watches.list(other)) == []
        assert await _told(post, other) == []
        for refused in (
            post.watches.get(other, watch.id),
            post.watches.events(other, watch.id),
            post.watches.deliveries(other, watch.id),
            post.watches.pause(other, watch.id),
            post.watches.resume(other, watch.id),
            post.watches.delete(other, watch.id),
        ):
            with pytest.raises(NotFound):
                await refused
    with pytest.raises(NotFound):
        await _watch(post, library, stranger)


async def test_a_follower_reads_on_from_the_number_it_saw_last(post: Post, library: str) -> None:
    await _watch(post, library)
    events = post.watches.follow(post.owner, 0)
    first = await anext(events)
    assert first.happening == "answered"
    await _says(post, library, "09:00")
    waiting = asyncio.ensure_future(anext(events))
    await _wait(post, _MINUTE)
    assert (await waiting).happening == "changed"
    await events.aclose()
    later = post.watches.follow(post.owner, first.number)
    assert (await anext(later)).happening == "changed"
    await later.aclose()


async def test_a_watch_that_is_deleted_leaves_nothing(post: Post, library: str) -> None:
    watch = await _watch(post, library)
    await post.watches.delete(post.owner, watch.id)
    await _says(post, library, "09:00")
    await _wait(post, _MINUTE)
    assert await _told(post) == []
    assert await post.live.standing.missing(post.owner.scope, [watch.id]) == [watch.id]


# Webhooks


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
    setup = Setup(
        kind="question",
        query=_QUESTION,
        model="extractor",
        library_ids=(library,),
        webhook=hook.url,
    )
    watch, secret = await post.watches.create(post.owner, setup)
    assert secret is not None
    await post.watches.step()
    assert hook.taken == []  # the first answer is no change
    hook.statuses = [500, 503]
    await _says(post, library, "09:00")
    await _wait(post, _MINUTE)
    await _wait(post, PAUSES[0])
    post.watches = watches_of(post, post.model, network=Network(["127.0.0.0/8"]))
    await post.watches.load()  # a restart goes on where it was
    await _wait(post, PAUSES[1])
    await _wait(post, PAUSES[2])
    assert len(hook.taken) == 3
    assert len({headers["webhook-id"] for headers, _ in hook.taken}) == 1
    headers, body = hook.taken[-1]
    said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mark = base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mark}"
    told = json.loads(body)
    assert told["type"] == "watch.changed"
    assert "08:30" in told["data"]["old"]["text"]
    assert "09:00" in told["data"]["new"]["text"]
    assert told["data"]["moved"][0]["what"] == "changed"
    delivery = (await post.watches.deliveries(post.owner, watch.id))[0]
    assert (delivery.state, delivery.attempts) == ("done", 3)


async def test_a_webhook_tried_again_is_not_told_what_was_closed_meanwhile(
    post: Post, library: str, hook: _Hook
) -> None:
    await _watch(post, library, webhook=hook.url)
    hook.statuses = [500]
    await _says(post, library, "09:00")
    await _wait(post, _MINUTE)
    first = json.loads(hook.taken[0][1])["data"]
    assert first["moved"][0]["after"] == _PAGE.format("09:00").strip()
    (desk,) = [
        one
        for one in await post.live.list_documents(post.owner.scope, library)
        if one.name == "desk.md"
    ]
    await post.live.access.set(post.owner.scope, library, desk.id, ["person:somebody-else"])
    await _wait(post, PAUSES[0])
    again = json.loads(hook.taken[1][1])["data"]
    assert again["id"] == first["id"]
    assert [(one["before"], one["after"]) for one in again["moved"]] == [(None, None)]
    assert "desk.md" not in hook.taken[1][1].decode()


async def test_a_webhook_is_told_no_more_once_its_owner_may_not_read_here(
    post: Post, library: str, hook: _Hook
) -> None:
    key = post.accounts.create_key(post.owner, "script")
    caller = post.accounts.principal_for_key(key.key)
    watch = await _watch(post, library, caller, webhook=hook.url)
    hook.statuses = [500]
    await _says(post, library, "09:00")
    await _wait(post, _MINUTE)
    post.accounts.revoke_key(post.owner, key.info.id)
    await _wait(post, _MINUTE)
    told = [json.loads(body)["type"] for _, body in hook.taken]
    assert told == ["watch.changed", "watch.paused"]
    states = [one.state for one in await post.watches.deliveries(post.owner, watch.id)]
    assert sorted(states) == ["dead", "done"]


async def test_a_webhook_that_never_answers_well_is_given_up_in_sight(
    post: Post, library: str, hook: _Hook
) -> None:
    watch = await _watch(post, library, webhook=hook.url)
    hook.statuses = [500] * 20
    await _says(post, library, "09:00")
    await _wait(post, _MINUTE)
    for pause in (*PAUSES, *PAUSES):
        await _wait(post, pause)
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
            await _watch(post, library, webhook=url)
    for url in ("file:///etc/passwd", "gopher://x/", "nothing", "https://me:secret@example.org/"):
        with pytest.raises(BadRequest):
            await _watch(post, library, webhook=url)
