"""The ledger holds each event once, exactly, from the moment it was acknowledged."""

import asyncio
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event as events

from ponant.accounts import Accounts, Principal, Role
from ponant.billing import GroupBy, Ledger, UsageEvent, usage_event
from ponant.engine import Usage
from ponant.kit.errors import Conflict, StorageFull, Unavailable
from ponant.store import Appender, Database
from ponant.store.appending import Row
from tests.databases import address
from tests.fakes.accounts import add_organisation, add_person
from tests.fakes.clock import START, FakeClock
from tests.patience import PATIENCE

DAY = timedelta(days=1)

_AT_ONCE = """
import sys
from datetime import UTC, datetime
from ponant.billing import Ledger, UsageEvent
from ponant.kit import SystemClock
from ponant.store import Database

ledger = Ledger(Database(sys.argv[1]), SystemClock())
event = UsageEvent(
    event_id="use_1", workspace_id="ws", person_id="p", key_id=None, model="m",
    prompt_tokens=1, completion_tokens=1, occurred_at=datetime.now(UTC),
)
sys.stdout.write(str(ledger.record_at_once(event)))
sys.stdout.flush()
sys.stdin.read()
"""

_RECORDER = """
import sys
from datetime import UTC, datetime
from ponant.billing import Ledger, UsageEvent
from ponant.kit import SystemClock
from ponant.store import Database

ledger = Ledger(Database(sys.argv[1]), SystemClock())
for number in range(1_000_000_000):
    event_id = f"{sys.argv[2]}-{number}"
    ledger.record(
        UsageEvent(
            event_id=event_id, workspace_id="ws", person_id="p", key_id=None, model="m",
            prompt_tokens=1, completion_tokens=1, occurred_at=datetime.now(UTC),
        )
    )
    sys.stdout.write(event_id + "\\n")
    sys.stdout.flush()
"""


def made_event(event_id: str = "use_1", **changes: Any) -> UsageEvent:
    whole = UsageEvent(
        event_id=event_id,
        workspace_id="ws_1",
        person_id="person_1",
        key_id="key_1",
        model="starter",
        prompt_tokens=10,
        cached_tokens=4,
        completion_tokens=5,
        reasoning_tokens=2,
        latency_ms=7,
        occurred_at=START,
    )
    return replace(whole, **changes)


def workspace(workspace_id: str = "ws_1") -> Principal:
    return Principal("org", workspace_id, "person_admin", Role.ADMIN, None, None, "Admin")


def total(ledger: Ledger, caller: Principal, name: str = "prompt_tokens") -> int:
    rows = ledger.summary(caller, START - DAY, START + DAY)
    return sum(getattr(row, name) for row in rows)


def written_at_once(ledger: Ledger, event: UsageEvent) -> None:
    """Try until the disk is not waited for, and no slow write was seen a moment ago."""
    end = time.monotonic() + PATIENCE
    while not ledger.record_at_once(event):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_an_event_is_summed_with_all_it_says(ledger: Ledger) -> None:
    ledger.record(made_event())
    ledger.record(made_event("use_2", aborted=True, completion_tokens=3))
    (row,) = ledger.summary(workspace(), START, START + DAY)
    assert (row.group, row.requests, row.aborted) == ("2026-08-01", 2, 1)
    assert (row.prompt_tokens, row.cached_tokens) == (20, 8)
    assert (row.completion_tokens, row.reasoning_tokens) == (8, 4)


def test_the_same_event_again_changes_nothing(ledger: Ledger, clock: FakeClock) -> None:
    ledger.record(made_event())
    clock.move(timedelta(days=400))
    ledger.record(made_event())
    assert total(ledger, workspace(), "requests") == 1


@pytest.mark.parametrize(
    "change",
    [
        {"prompt_tokens": 11},
        {"model": "other"},
        {"aborted": True},
        {"key_id": None},
        {"occurred_at": START + timedelta(microseconds=1)},
    ],
    ids=str,
)
def test_the_same_id_with_other_content_is_a_conflict(
    ledger: Ledger, change: dict[str, Any]
) -> None:
    ledger.record(made_event())
    with pytest.raises(Conflict, match="use_1"):
        ledger.record(made_event(**change))
    assert total(ledger, workspace()) == 10


def test_the_same_id_in_another_workspace_is_another_event(ledger: Ledger) -> None:
    ledger.record(made_event())
    ledger.record(made_event(workspace_id="ws_2", prompt_tokens=1))
    assert total(ledger, workspace("ws_1")) == 10
    assert total(ledger, workspace("ws_2")) == 1


def test_every_field_comes_back_as_it_went_in(ledger: Ledger) -> None:
    # The comparison of a repeated event rests on it.
    odd = made_event(key_id=None, aborted=True, estimated=True, latency_ms=0)
    ledger.record(odd)
    ledger.record(odd)
    assert {field.name for field in fields(UsageEvent)} >= {"estimated", "latency_ms"}


def test_no_event_waits_for_a_disk_that_stalls(
    ledger: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalls, moves = threading.Event(), threading.Event()

    def settle() -> None:
        stalls.set()
        moves.wait(2 * PATIENCE)

    monkeypatch.setattr(database, "settle", settle)
    ledger.record(made_event())
    assert stalls.wait(PATIENCE)
    recorded = threading.Thread(target=ledger.record, args=[made_event("use_2")])
    recorded.start()
    recorded.join(PATIENCE)
    waits = recorded.is_alive()
    moves.set()
    recorded.join()
    assert not waits


def test_the_disk_has_everything_when_the_ledger_is_closed(
    ledger: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled: list[float] = []
    monkeypatch.setattr(
        database, "settle", lambda: settled.append(total(ledger, workspace(), "requests"))
    )
    for number in range(3):
        ledger.record(made_event(f"use_{number}"))
    ledger.close()
    assert settled[-1] == 3


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_is_written_at_once_is_there_for_everybody(ledger: Ledger) -> None:
    event = made_event()
    written_at_once(ledger, event)
    assert total(ledger, workspace(), "requests") == 1
    assert ledger.tokens["starter", "prompt"] == 10
    assert not ledger.record_at_once(event)  # `record` knows what the same again is
    ledger.record(event)
    with pytest.raises(Conflict):
        ledger.record(made_event(prompt_tokens=11))
    written_at_once(ledger, made_event("use_2"))
    assert total(ledger, workspace(), "requests") == 2


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_was_written_at_once_survives_a_kill(ledger: Ledger, database: Database) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _AT_ONCE, address(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as recorder:
        assert recorder.stdout is not None
        assert recorder.stdout.read(4) == "True"
        recorder.send_signal(signal.SIGKILL)
    rows = ledger.summary(workspace("ws"), START - 9999 * DAY, START + 9999 * DAY)
    assert sum(row.requests for row in rows) == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_nobody_is_waited_for_at_once(ledger: Ledger, database: Database) -> None:
    with database.write() as session:
        session.connection()
        assert not ledger.record_at_once(made_event())
    assert total(ledger, workspace(), "requests") == 0
    written_at_once(ledger, made_event())


def test_what_is_written_at_once_settles_no_budget(ledger: Ledger, admin: Principal) -> None:
    ledger.budgets.set(admin, 100)
    assert not ledger.record_at_once(made_event(workspace_id=admin.workspace_id))
    assert total(ledger, admin, "requests") == 0


def test_nothing_is_written_at_once_after_the_end(ledger: Ledger) -> None:
    ledger.close()
    assert not ledger.record_at_once(made_event())


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_nothing_is_written_at_once_while_the_disk_is_waited_for(
    ledger: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalls, moves = threading.Event(), threading.Event()

    def settle() -> None:
        stalls.set()
        moves.wait(2 * PATIENCE)

    monkeypatch.setattr(database, "settle", settle)
    ledger.record(made_event())
    assert stalls.wait(PATIENCE)
    assert not ledger.record_at_once(made_event("use_2"))
    moves.set()


def test_many_threads_commit_in_few_groups(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[object] = []
    slow, add = threading.Event(), Appender.add

    def count(appender: Appender, rows: Sequence[Row], when: Callable[[], bool]) -> bool:
        slow.wait(0.02)
        commits.append(appender)
        return add(appender, rows, when)

    monkeypatch.setattr(Appender, "add", count)
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(ledger.record, [made_event(f"use_{number}") for number in range(200)]))
    assert total(ledger, workspace(), "requests") == 200
    assert len(commits) < 100


def test_an_event_that_cannot_be_stored_fails_alone(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, held, add = threading.Event(), threading.Event(), Appender.add

    def wait(appender: Appender, rows: Sequence[Row], when: Callable[[], bool]) -> bool:
        held.set()
        hold.wait(10)
        return add(appender, rows, when)

    monkeypatch.setattr(Appender, "add", wait)

    bad = made_event("use_bad", model=None)
    with ThreadPoolExecutor(8) as pool:
        opener = pool.submit(ledger.record, made_event("use_opener"))
        held.wait(10)
        rest = [pool.submit(ledger.record, made_event(f"use_{number}")) for number in range(4)]
        failing = pool.submit(ledger.record, bad)
        hold.set()
        for done in (opener, *rest):
            assert done.result(10) is None
        assert failing.exception(10) is not None
    assert total(ledger, workspace(), "requests") == 5


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_full_disk_is_told_and_loses_nothing(ledger: Ledger, database: Database) -> None:
    ledger.record(made_event())

    @events.listens_for(database.engine, "checkout")
    def fill(connection: Any, *_: object) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages}")

    with pytest.raises(StorageFull):
        ledger.record(made_event("use_large", model="m" * 100_000))
    events.remove(database.engine, "checkout", fill)
    assert total(ledger, workspace(), "requests") == 1


@pytest.mark.anyio
async def test_a_cancelled_caller_leaves_its_event_behind(ledger: Ledger) -> None:
    task = asyncio.ensure_future(ledger.record_async(made_event()))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await ledger.record_async(made_event("use_2"))
    assert total(ledger, workspace(), "requests") == 2


def test_closing_writes_what_waits_and_refuses_the_rest(
    database: Database, clock: FakeClock
) -> None:
    ledger = Ledger(database, clock)
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(ledger.record, made_event(f"use_{number}")) for number in range(20)]
        ledger.close()
        ledger.close()
    told = [done for done in waiting if done.exception() is None]
    assert all(isinstance(done.exception(), Unavailable | None) for done in waiting)
    assert total(ledger, workspace(), "requests") == len(told)


def test_what_was_acknowledged_survives_a_kill(ledger: Ledger, database: Database) -> None:
    where = address(database)
    chance = random.Random(3)
    acknowledged: set[str] = set()
    for turn in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", _RECORDER, where, str(turn)], stdout=subprocess.PIPE, text=True
        ) as recorder:
            assert recorder.stdout is not None
            acknowledged.add(recorder.stdout.readline().strip())
            time.sleep(chance.uniform(0, 0.2))
            recorder.send_signal(signal.SIGKILL)
            acknowledged |= {line.strip() for line in recorder.stdout if line.endswith("\n")}
    by_model = ledger.summary(workspace("ws"), START - 9999 * DAY, START + 9999 * DAY)
    requests = sum(row.requests for row in by_model)
    # At most one event a turn was on disk and not yet acknowledged.
    assert len(acknowledged) <= requests <= len(acknowledged) + 2
    assert len(acknowledged) > 2


Made = st.tuples(
    st.sampled_from(["ws_1", "ws_2"]),
    st.integers(0, 8),
    st.integers(0, 3),
    st.sampled_from(["starter", "gemma"]),
)


@settings(max_examples=25, deadline=None)
@given(batches=st.lists(st.lists(Made, max_size=12), max_size=4))
def test_any_interleaving_sums_to_the_distinct_events(
    batches: list[list[tuple[str, int, int, str]]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database.at(Path(folder) / "ponant.db")
        database.migrate("ponant")
        ledger = Ledger(database, FakeClock())
        accepted: dict[tuple[str, int], tuple[int, str]] = {}
        lock = threading.Lock()

        def record(batch: list[tuple[str, int, int, str]]) -> None:
            for workspace_id, number, tokens, model in batch:
                event = made_event(
                    f"use_{number}", workspace_id=workspace_id, prompt_tokens=tokens, model=model
                )
                name, content = (workspace_id, number), (tokens, model)
                try:
                    ledger.record(event)
                except Conflict:
                    with lock:
                        assert accepted.get(name) != content
                    continue
                with lock:
                    assert accepted.setdefault(name, content) == content

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(record, batches))
        for workspace_id in ("ws_1", "ws_2"):
            rows = ledger.summary(workspace(workspace_id), START - DAY, START + DAY, GroupBy.MODEL)
            for model in ("starter", "gemma"):
                mine = [
                    tokens
                    for (where, _), (tokens, what) in accepted.items()
                    if where == workspace_id and what == model
                ]
                row = next((row for row in rows if row.group == model), None)
                assert (row.requests if row else 0) == len(mine)
                assert (row.prompt_tokens if row else 0) == sum(mine)
        ledger.close()
        database.close()


def test_summaries_by_day_model_and_key_keep_to_the_span(
    ledger: Ledger, database: Database, clock: FakeClock, admin: Principal
) -> None:
    key = Accounts(database, clock).create_key(admin, "laptop").info.id
    for number, (offset, model, key_id) in enumerate(
        [(0, "starter", key), (1, "starter", None), (1, "gemma", key), (9, "gemma", key)]
    ):
        ledger.record(
            made_event(
                f"use_{number}",
                workspace_id=admin.workspace_id,
                model=model,
                key_id=key_id,
                occurred_at=START + offset * DAY,
            )
        )
    span = (START, START + 9 * DAY)
    days = ledger.summary(admin, *span, GroupBy.DAY)
    models = ledger.summary(admin, *span, GroupBy.MODEL)
    keys = ledger.summary(admin, *span, GroupBy.KEY)
    assert [(row.group, row.requests) for row in days] == [("2026-08-01", 1), ("2026-08-02", 2)]
    assert [(row.group, row.requests) for row in models] == [("gemma", 1), ("starter", 2)]
    assert {row.group: row.requests for row in keys} == {"": 1, key: 2}


def test_a_member_sees_their_own_usage_and_a_stranger_none(
    ledger: Ledger, database: Database, clock: FakeClock, admin: Principal
) -> None:
    mary = add_person(database, clock, admin, "Mary", Role.MEMBER)
    stranger = add_organisation(database, clock, "Elsewhere")
    for caller, tokens in ((admin, 100), (mary, 1)):
        usage = Usage(prompt_tokens=tokens, completion_tokens=0)
        ledger.record(usage_event(caller, "starter", usage, START))
    assert total(ledger, admin) == 101
    assert total(ledger, mary) == 1
    assert ledger.summary(stranger, START - DAY, START + DAY) == []
