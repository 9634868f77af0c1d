"""Budgets: never overspent, counted exactly, and ended by the month."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from ponant.accounts import Principal, Role
from ponant.billing import Ledger, metered, usage_event
from ponant.billing.budgets import Budgets
from ponant.billing.tables import CounterRow, ReservationRow, UsageRow
from ponant.engine import Usage
from ponant.kit.errors import BudgetUsedUp, Forbidden, NotFound
from ponant.store import Database, in_scope
from tests.billing.counting import check_counters
from tests.billing.test_meter import LAST, USAGE, FakeGeneration, word
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.anyio

NOVEMBER = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOVEMBER)


def used(caller: Principal, tokens: int, at: datetime) -> Any:
    return usage_event(caller, "starter", Usage(prompt_tokens=tokens, completion_tokens=0), at)


async def test_requests_side_by_side_use_no_more_than_there_is(
    ledger: Ledger, database: Database, admin: Principal
) -> None:
    ledger.budgets.set(admin, 100)
    asked = [ledger.budgets.reserve(admin, 10) for _ in range(14)]
    told = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in told if isinstance(one, BudgetUsedUp)]
    assert len(refused) == 4
    assert all(one.retry_after == 5 for one in refused)  # what is held may come free
    check_counters(database, admin)


async def test_what_was_not_used_comes_free_when_it_is_settled(
    ledger: Ledger, database: Database, clock: FakeClock, admin: Principal
) -> None:
    ledger.budgets.set(admin, 100)
    held = await ledger.budgets.reserve(admin, 100)
    ledger.record(used(admin, 30, clock.now()), held)
    (budget,) = ledger.budgets.list(admin)
    assert (budget.used, budget.reserved, budget.left) == (30, 0, 70)
    check_counters(database, admin)
    await ledger.budgets.reserve(admin, 70)
    with pytest.raises(BudgetUsedUp):
        await ledger.budgets.reserve(admin, 1)


async def test_the_refusal_says_until_when(
    ledger: Ledger, clock: FakeClock, admin: Principal
) -> None:
    ledger.record(used(admin, 100, clock.now()))
    ledger.budgets.set(admin, 100)
    with pytest.raises(BudgetUsedUp, match=r"November 2026 .* on 1 December \(UTC\)") as caught:
        await ledger.budgets.reserve(admin, 10)
    assert caught.value.retry_after == timedelta(hours=12).total_seconds()
    assert (caught.value.status, caught.value.code) == (429, "insufficient_quota")


async def test_what_does_not_fit_is_told_apart_from_a_budget_that_is_used_up(
    ledger: Ledger, clock: FakeClock, admin: Principal
) -> None:
    ledger.record(used(admin, 60, clock.now()))
    ledger.budgets.set(admin, 100)
    with pytest.raises(BudgetUsedUp, match=r"up to 50 tokens, and less is left.*max_tokens"):
        await ledger.budgets.reserve(admin, 50)
    await ledger.budgets.check(admin)  # something is left
    await ledger.budgets.reserve(admin, 40)


async def test_a_new_month_starts_with_nothing_used(
    ledger: Ledger, database: Database, clock: FakeClock, admin: Principal
) -> None:
    ledger.budgets.set(admin, 100)
    before = clock.now()
    held = await ledger.budgets.reserve(admin, 100)
    clock.move(timedelta(hours=12))
    await ledger.budgets.reserve(admin, 100)
    # What began in November is November's, whenever it ends.
    ledger.record(used(admin, 80, before), held)
    (budget,) = ledger.budgets.list(admin)
    assert (budget.month, budget.used, budget.reserved) == ("2026-12", 0, 100)
    assert budget.ends_at == datetime(2027, 1, 1, tzinfo=UTC)
    check_counters(database, admin)


async def test_a_person_is_held_to_both_budgets_and_others_to_the_workspaces(
    ledger: Ledger, database: Database, clock: FakeClock, admin: Principal
) -> None:
    mary = replace(admin, person_id="per_mary", role=Role.MEMBER)
    ledger.budgets.set(admin, 100)
    ledger.budgets.set(admin, 20, mary.person_id)
    ledger.record(used(mary, 15, clock.now()))
    with pytest.raises(BudgetUsedUp, match="your budget"):
        await ledger.budgets.reserve(mary, 10)
    await ledger.budgets.reserve(admin, 85)
    with pytest.raises(BudgetUsedUp, match="this workspace's budget"):
        await ledger.budgets.reserve(mary, 1)
    check_counters(database, admin)
    assert len(ledger.budgets.list(admin)) == 2
    assert len(ledger.budgets.list(replace(mary, person_id="per_joan"))) == 1


async def test_a_budget_of_one_person_holds_nobody_else(ledger: Ledger, admin: Principal) -> None:
    mary = replace(admin, person_id="per_mary", role=Role.MEMBER)
    ledger.budgets.set(admin, 0, mary.person_id)
    assert ledger.budgets.apply_to(mary)
    assert not ledger.budgets.apply_to(admin)
    assert not ledger.budgets.apply_to(replace(mary, workspace_id="ws_other"))
    with pytest.raises(BudgetUsedUp):
        await ledger.budgets.check(mary)


async def test_raising_and_removing_let_requests_pass(
    ledger: Ledger, database: Database, admin: Principal
) -> None:
    ledger.budgets.set(admin, 10)
    with pytest.raises(BudgetUsedUp):
        await ledger.budgets.reserve(admin, 20)
    ledger.budgets.set(admin, 20)
    await ledger.budgets.reserve(admin, 20)
    check_counters(database, admin)
    ledger.budgets.remove(admin)
    assert not ledger.budgets.apply_to(admin)
    with pytest.raises(NotFound):
        ledger.budgets.remove(admin)


def test_only_administrators_set_them(ledger: Ledger, admin: Principal) -> None:
    member = replace(admin, role=Role.MEMBER)
    with pytest.raises(Forbidden):
        ledger.budgets.set(member, 10)
    with pytest.raises(Forbidden):
        ledger.budgets.remove(member)


async def test_what_another_process_sets_counts_what_was_written_meanwhile(
    ledger: Ledger, database: Database, clock: FakeClock, admin: Principal
) -> None:
    other = Budgets(database, clock)
    other.set(admin, 100)
    await other.reserve(admin, 10)  # its counter is made of an empty ledger
    ledger.record(used(admin, 60, clock.now()))  # by a process that knows of no budget yet
    assert not ledger.budgets.apply_to(admin)
    ledger.budgets.refresh()
    check_counters(database, admin)
    with pytest.raises(BudgetUsedUp):
        await ledger.budgets.reserve(admin, 31)
    await ledger.budgets.reserve(admin, 30)
    other.remove(admin)
    ledger.budgets.refresh()
    assert not ledger.budgets.apply_to(admin)


async def test_what_a_process_that_crashed_held_comes_free(
    ledger: Ledger, database: Database, clock: FakeClock, admin: Principal
) -> None:
    ledger.budgets.set(admin, 100)
    await ledger.budgets.reserve(admin, 100)
    again = Budgets(database, clock)
    await again.start()
    try:
        if database.is_server:  # others may run: its lease has to end
            with pytest.raises(BudgetUsedUp):
                await again.reserve(admin, 100)
            clock.move(timedelta(hours=1))
        await again.reserve(admin, 100)
        check_counters(database, admin)
    finally:
        await again.close()


async def test_what_outlives_its_lease_is_counted_when_it_ends(
    ledger: Ledger, database: Database, clock: FakeClock, admin: Principal
) -> None:
    ledger.budgets.set(admin, 100)
    begun = clock.now()
    held = await ledger.budgets.reserve(admin, 100)
    clock.move(timedelta(hours=2))
    await ledger.budgets.reserve(admin, 10)
    ledger.record(used(admin, 70, begun), held)
    check_counters(database, admin)
    (budget,) = ledger.budgets.list(admin)
    assert (budget.used, budget.reserved) == (70, 10)


async def test_a_caller_who_leaves_while_it_is_reserved_holds_nothing(
    ledger: Ledger, database: Database, admin: Principal
) -> None:
    ledger.budgets.set(admin, 100)
    for steps in range(4):
        asked = asyncio.ensure_future(ledger.budgets.reserve(admin, 100))
        for _ in range(steps):
            await asyncio.sleep(0)
        asked.cancel()
        (told,) = await asyncio.gather(asked, return_exceptions=True)
        if isinstance(told, str):
            await ledger.budgets.release(admin, told)
        check_counters(database, admin)
    await ledger.budgets.reserve(admin, 100)


async def test_a_generation_is_refused_before_its_model_is_asked(
    ledger: Ledger, database: Database, admin: Principal
) -> None:
    ledger.budgets.set(admin, 10)
    generation = FakeGeneration(word("Pa"), LAST)
    with pytest.raises(BudgetUsedUp):
        async for _ in metered(generation.run(), admin, "starter", ledger, most=lambda: 11):
            pass
    assert rows(database, admin, UsageRow) == []
    assert rows(database, admin, ReservationRow) == []


async def test_a_generation_holds_what_it_may_take_until_it_ended(
    ledger: Ledger, database: Database, admin: Principal
) -> None:
    ledger.budgets.set(admin, 100)
    generation = FakeGeneration(word("Pa"), LAST)
    async for delta in metered(generation.run(), admin, "starter", ledger, most=lambda: 90):
        (budget,) = ledger.budgets.list(admin)
        taken = USAGE.prompt_tokens + USAGE.completion_tokens
        expected = (taken, 0) if delta.finish else (0, 90)
        assert (budget.used, budget.reserved) == expected
    check_counters(database, admin)


@pytest.mark.parametrize("fault", [BudgetUsedUp("no"), RuntimeError("broken")])
async def test_a_generation_that_fails_holds_nothing_any_more(
    ledger: Ledger, database: Database, admin: Principal, fault: Exception
) -> None:
    ledger.budgets.set(admin, 100)
    generation = FakeGeneration(fault)
    with pytest.raises(type(fault)):
        async for _ in metered(generation.run(), admin, "starter", ledger, most=lambda: 90):
            pass
    assert rows(database, admin, ReservationRow) == []
    check_counters(database, admin)


async def test_a_call_that_fails_holds_nothing_any_more(
    ledger: Ledger, database: Database, admin: Principal
) -> None:
    ledger.budgets.set(admin, 100)
    with pytest.raises(RuntimeError):
        async with ledger.budgets.held(admin, lambda: 90):
            raise RuntimeError
    assert rows(database, admin, ReservationRow) == []
    check_counters(database, admin)


async def test_without_a_budget_nothing_is_asked_of_the_database(
    ledger: Ledger, database: Database, admin: Principal
) -> None:
    statements: list[str] = []

    def note(*given: Any) -> None:
        statements.append(given[2])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        generation = FakeGeneration(word("Pa"), LAST)
        async for _ in metered(generation.run(), admin, "starter", ledger, most=lambda: 1 // 0):
            pass
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert not any("budget" in one for one in statements)
    assert len(rows(database, admin, UsageRow)) == 1


def rows(database: Database, caller: Principal, table: Any) -> list[Any]:
    with database.read() as session:
        return list(session.scalars(select(table).where(in_scope(table, caller.scope))))


def test_counters_are_made_when_they_are_asked_for(
    ledger: Ledger, database: Database, admin: Principal
) -> None:
    ledger.budgets.set(admin, 100)
    assert rows(database, admin, CounterRow) == []
