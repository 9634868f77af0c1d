"""Watches keep their pace, their owner's permissions and budget, and lose nothing."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from ponant.accounts import Role
from ponant.assistant.watches import Setup
from ponant.billing.tables import UsageRow
from ponant.kit import PonantError
from ponant.kit.errors import BadRequest, NotFound, TooManyRequests, Unavailable
from ponant.store import in_scope
from tests.assistant.watches.asking import (
    MINUTE,
    SETTLE,
    happenings,
    make_watch,
    says,
    told,
    wait,
)
from tests.assistant.watches.conftest import Post, watches_of
from tests.fakes.accounts import add_organisation, add_person
from tests.fakes.models import FakeModel
from tests.patience import tries

pytestmark = pytest.mark.anyio


async def test_changes_that_are_close_are_told_once_and_at_most_once_a_minute(
    post: Post, library: str
) -> None:
    watch = await make_watch(post, library)
    assert watch.answer is not None
    assert watch.answer.text == "The reception desk opens at 08:30."
    assert [one.document_name for one in watch.answer.cited] == ["desk.md"]

    await says(post, library, "09:00")
    await wait(post, SETTLE / 2)
    await says(post, library, "09:15")
    assert await happenings(post) == ["answered"]  # still settling
    await wait(post, SETTLE)
    events = await told(post)
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

    await says(post, library, "09:30")
    await wait(post, SETTLE)
    assert (await happenings(post))[2:] == []  # within the minute
    await wait(post, MINUTE)
    assert (await happenings(post))[2:] == ["changed"]
    assert post.model.calls == 3


async def test_moved_evidence_with_the_same_facts_is_noted_and_not_delivered(
    post: Post, library: str
) -> None:
    await make_watch(post, library, webhook=None)
    await post.live.write(
        post.owner.scope, library, "plan.md", "# Plan\n\nThe reception desk opens at 08:30.\n"
    )
    await wait(post, MINUTE)
    assert await happenings(post) == ["answered", "stands"]


async def test_an_edit_that_is_taken_back_in_time_asks_no_model(post: Post, library: str) -> None:
    await make_watch(post, library)
    await says(post, library, "09:00")
    await says(post, library, "08:30")
    await wait(post, MINUTE)
    assert await happenings(post) == ["answered"]
    assert post.model.calls == 1


async def test_a_search_is_told_of_other_passages_without_a_model(post: Post, library: str) -> None:
    watch = await make_watch(post, library, kind="search")
    assert watch.answer is not None
    assert {one.document_name for one in watch.answer.passages} == {"desk.md", "cats.md"}
    await says(post, library, "09:00")
    await wait(post, MINUTE)
    assert await happenings(post) == ["answered", "changed"]
    assert post.model.calls == 0


async def test_a_statement_is_told_of_rows_that_came_and_went(post: Post) -> None:
    scope, tables = post.owner.scope, post.live.relations
    await tables.put_rows(scope, "stock", ["item"], [{"item": "lamp", "left": 3}], [])
    sql = 'SELECT item FROM stock WHERE "left" < 2'
    watch, _ = await post.watches.create(post.owner, Setup(kind="sql", query=sql))
    await post.watches.step()
    await tables.put_rows(scope, "stock", ["item"], [{"item": "lamp", "left": 1}], [])
    for _ in tries():
        await wait(post, MINUTE)
        if len(await told(post)) > 1:
            break
        await asyncio.sleep(0.05)
    events = await told(post)
    assert [one.happening for one in events] == ["answered", "changed"]
    assert events[1].old is not None
    assert events[1].new is not None
    assert (events[1].old.rows, events[1].new.rows) == ((), ({"item": "lamp"},))
    assert events[1].reason == "1 row came, 0 went."
    assert post.model.calls == 0
    await post.watches.delete(post.owner, watch.id)
    with pytest.raises(BadRequest):
        await post.watches.create(post.owner, Setup(kind="sql", query="DROP TABLE stock"))


async def test_every_answer_is_on_the_owners_account(post: Post, library: str) -> None:
    watch = await make_watch(post, library)
    await says(post, library, "09:00")
    await wait(post, MINUTE)
    with post.database.read() as session:
        used = list(session.scalars(select(UsageRow).where(in_scope(UsageRow, post.owner.scope))))
    assert [one.person_id for one in used] == [post.owner.person_id] * 2
    kept = await post.watches.get(post.owner, watch.id)
    assert kept.calls == kept.calls_today == post.model.calls == 2
    assert sum(one.calls for one in await told(post)) == 2


async def test_a_restart_loses_no_change_and_tells_none_twice(post: Post, library: str) -> None:
    await make_watch(post, library)
    await says(post, library, "09:00")
    await post.watches.close()  # before the change settled
    post.watches = post.again()
    await post.watches.load()
    await wait(post, MINUTE)
    await wait(post, MINUTE)
    assert await happenings(post) == ["answered", "changed"]
    post.watches = post.again()
    await post.watches.load()
    await wait(post, MINUTE)
    assert await happenings(post) == ["answered", "changed"]


async def test_a_model_that_does_not_answer_is_asked_again(post: Post, library: str) -> None:
    failing = FakeModel(
        [Unavailable("It is starting."), "The reception desk opens at 08:30. [1]"],
        name="extractor",
    )
    post.watches = watches_of(post, failing)
    watch = await make_watch(post, library)
    assert watch.answer is None
    await wait(post, MINUTE)
    assert (await post.watches.get(post.owner, watch.id)).state == "in_step"


async def test_who_may_no_longer_answer_has_their_watch_paused_in_sight(
    post: Post, library: str
) -> None:
    admin = post.owner
    anna = add_person(post.database, post.clock, admin, "Anna", Role.MEMBER)
    watch = await make_watch(post, library, anna)
    directory = post.accounts.directory
    directory.set_role(admin, anna.person_id, Role.VIEWER)
    await says(post, library, "09:00")
    await wait(post, MINUTE)
    paused = await post.watches.get(anna, watch.id)
    assert paused.state == "paused"
    assert "viewer" in paused.reason
    assert paused.answer == watch.answer
    assert [one.happening for one in await told(post, anna)] == ["answered", "paused"]

    directory.set_role(admin, anna.person_id, Role.MEMBER)
    await wait(post, 2 * MINUTE)
    assert [one.happening for one in await told(post, anna)][2:] == ["changed"]
    assert (await post.watches.get(anna, watch.id)).state == "in_step"


async def test_a_revoked_key_ends_what_was_made_with_it_until_somebody_resumes(
    post: Post, library: str
) -> None:
    key = post.accounts.create_key(post.owner, "watching")
    caller = post.accounts.principal_for_key(key.key)
    watch = await make_watch(post, library, caller)
    post.accounts.revoke_key(post.owner, key.info.id)
    await wait(post, MINUTE)  # nothing changed: it is seen all the same
    assert "revoked" in (await post.watches.get(post.owner, watch.id)).reason
    await post.watches.resume(post.owner, watch.id)
    await post.watches.step()
    assert (await post.watches.get(post.owner, watch.id)).state == "in_step"
    assert await happenings(post) == ["answered", "paused", "resumed"]


async def test_the_days_calls_are_a_limit(post: Post, library: str) -> None:
    watch = await make_watch(post, library, daily_calls=2)
    for minute in range(3):
        await says(post, library, f"09:0{minute}")
        await wait(post, MINUTE)
    paused = await post.watches.get(post.owner, watch.id)
    assert paused.calls_today == post.model.calls == 2
    assert paused.state == "paused"
    assert "daily_calls" in paused.reason
    await wait(post, timedelta(days=1))
    resumed = await post.watches.get(post.owner, watch.id)
    assert resumed.state == "in_step"
    assert resumed.answer is not None
    assert "09:02" in resumed.answer.text


async def test_a_limit_that_lasts_pauses_a_watch_in_sight_until_it_is_over(
    post: Post, library: str
) -> None:
    replies: list[str | PonantError] = [
        "The reception desk opens at 08:30. [1]",
        TooManyRequests("The account is used up.", retry_after=3600),
        TooManyRequests("The account is used up.", retry_after=3600),
        "The reception desk opens at 09:00. [1]",
    ]
    post.watches = watches_of(post, FakeModel(replies, name="extractor"))
    await post.watches.load()
    watch = await make_watch(post, library)
    await says(post, library, "09:00")
    await wait(post, MINUTE)
    paused = await post.watches.get(post.owner, watch.id)
    assert (paused.state, "used up" in paused.reason) == ("paused", True)
    await wait(post, MINUTE)
    await wait(post, MINUTE)
    resumed = await post.watches.get(post.owner, watch.id)
    assert resumed.state == "in_step"
    assert resumed.answer is not None
    assert "09:00" in resumed.answer.text
    assert await happenings(post) == ["answered", "paused", "changed"]


async def test_a_budget_that_is_used_up_pauses_a_watch_in_sight_until_the_month_ends(
    post: Post, library: str
) -> None:
    watch = await make_watch(post, library)
    kept = await make_watch(post, library, kind="search")
    calls = post.model.calls
    post.ledger.budgets.set(post.owner, 1)
    await wait(post, MINUTE)  # nothing changed: it is seen all the same
    await says(post, library, "09:00")
    await wait(post, MINUTE)
    paused = await post.watches.get(post.owner, watch.id)
    assert paused.state == "paused"
    assert "budget for August 2026 are used up" in paused.reason
    assert "by itself on 1 September" in paused.reason
    # A search asks no model.
    assert (await post.watches.get(post.owner, kept.id)).state == "in_step"
    await wait(post, timedelta(days=7))
    await wait(post, MINUTE)
    assert post.model.calls == calls
    assert [one.happening for one in await told(post) if one.watch_id == watch.id] == [
        "answered",
        "paused",
    ]
    post.ledger.budgets.set(post.owner, 100_000)
    post.clock.move(timedelta(days=30))
    await wait(post, MINUTE)
    resumed = await post.watches.get(post.owner, watch.id)
    assert resumed.state == "in_step"
    assert resumed.answer is not None
    assert "09:00" in resumed.answer.text


async def test_a_budget_that_is_raised_lets_its_watches_go_on(post: Post, library: str) -> None:
    post.ledger.budgets.set(post.owner, 0)
    watch = await make_watch(post, library)
    assert (watch.state, post.model.calls) == ("paused", 0)
    post.ledger.budgets.set(post.owner, 500)  # less than an answer may take
    await wait(post, MINUTE)
    paused = await post.watches.get(post.owner, watch.id)
    assert (paused.state, "less is left" in paused.reason) == ("paused", True)
    post.ledger.budgets.set(post.owner, 100_000)
    await wait(post, MINUTE)
    assert (await post.watches.get(post.owner, watch.id)).state == "in_step"
    assert await happenings(post) == ["paused", "paused", "answered"]


async def test_a_library_that_goes_pauses_its_watches(post: Post, library: str) -> None:
    watch = await make_watch(post, library)
    await post.live.delete_library(post.owner.scope, library)
    await post.live.standing.match()
    await wait(post, MINUTE)
    paused = await post.watches.get(post.owner, watch.id)
    assert paused.state == "paused"
    assert library in paused.reason


async def test_a_paused_watch_rests_until_it_is_resumed(post: Post, library: str) -> None:
    watch = await make_watch(post, library)
    await post.watches.pause(post.owner, watch.id)
    await says(post, library, "09:00")
    await wait(post, 2 * MINUTE)
    assert post.model.calls == 1
    await post.watches.resume(post.owner, watch.id)
    await post.watches.step()
    assert (await happenings(post))[-1] == "changed"


async def test_watches_are_their_owners_alone(post: Post, library: str) -> None:
    watch = await make_watch(post, library)
    anna = add_person(post.database, post.clock, post.owner, "Anna", Role.ADMIN)
    stranger = add_organisation(post.database, post.clock, "Elsewhere")
    for other in (anna, stranger):
        assert list(await post.watches.list(other)) == []
        assert await told(post, other) == []
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
        await make_watch(post, library, stranger)


async def test_a_follower_reads_on_from_the_number_it_saw_last(post: Post, library: str) -> None:
    await make_watch(post, library)
    events = await post.watches.follow(post.owner, 0)
    first = await anext(events)
    assert first.happening == "answered"
    await says(post, library, "09:00")
    waiting = asyncio.ensure_future(anext(events))
    await wait(post, MINUTE)
    assert (await waiting).happening == "changed"
    await events.aclose()
    later = await post.watches.follow(post.owner, first.number)
    assert (await anext(later)).happening == "changed"
    await later.aclose()


async def test_a_follower_is_told_what_happens_before_it_asks_for_the_next(
    post: Post, library: str
) -> None:
    """A page that looks as soon as it is connected would miss what comes right after."""
    events = await post.watches.follow(post.owner)
    await make_watch(post, library)
    assert (await anext(events)).happening == "answered"
    await events.aclose()


async def test_a_watch_that_is_deleted_leaves_nothing(post: Post, library: str) -> None:
    watch = await make_watch(post, library)
    await post.watches.delete(post.owner, watch.id)
    await says(post, library, "09:00")
    await wait(post, MINUTE)
    assert await told(post) == []
    assert await post.live.standing.missing(post.owner.scope, [watch.id]) == [watch.id]
