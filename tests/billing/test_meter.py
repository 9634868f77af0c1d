"""Every generation leaves one row, however it ends."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial

import anyio
import msgspec
import pytest
from sqlalchemy import select

from ponant import billing
from ponant.accounts import Principal
from ponant.billing import Ledger
from ponant.billing.tables import UsageRow
from ponant.engine import FinishReason, Usage
from ponant.kit.errors import BadRequest, Conflict, UpstreamFailed
from ponant.serving.port import Delta, TextToken
from ponant.store import Database, in_scope
from tests.patience import tries

pytestmark = pytest.mark.anyio

metered = partial(billing.metered, most=lambda: 100)

USAGE = Usage(prompt_tokens=20, completion_tokens=3, cached_tokens=8)


def word(text: str) -> Delta:
    return Delta(text=text, tokens=(TextToken(text=text, data=text.encode()),))


LAST = Delta(finish=FinishReason.STOP, usage=USAGE)


class FakeGeneration:
    """Deltas one after another; tells whether it was closed."""

    def __init__(self, *deltas: Delta | Exception, hangs: bool = False) -> None:
        self._deltas = deltas
        self._hangs = hangs
        self.closed = False

    async def run(self) -> AsyncGenerator[Delta]:
        try:
            for delta in self._deltas:
                await asyncio.sleep(0)
                if isinstance(delta, Exception):
                    raise delta
                yield delta
            if self._hangs:
                await asyncio.sleep(60)
        finally:
            self.closed = True


def rows(database: Database, admin: Principal) -> list[UsageRow]:
    with database.read() as session:
        return list(session.scalars(select(UsageRow).where(in_scope(UsageRow, admin.scope))))


async def test_a_whole_answer_is_on_record_before_its_last_delta_is_seen(
    ledger: Ledger, database: Database, admin: Principal
) -> None:
    generation = FakeGeneration(word("Pa"), word("ris"), LAST)
    seen = []
    async for delta in metered(generation.run(), admin, "starter", ledger):
        seen.append(delta.text)
        assert len(rows(database, admin)) == (1 if delta.finish else 0)
    (row,) = rows(database, admin)
    assert seen == ["Pa", "ris", ""]
    assert (row.prompt_tokens, row.cached_tokens, row.completion_tokens) == (20, 8, 3)
    assert (row.aborted, row.estimated, row.person_id) == (False, False, admin.person_id)
    assert row.event_id.startswith("use_")


async def test_an_answer_that_is_left_counts_what_was_made(
    ledger: Ledger, database: Database, admin: Principal
) -> None:
    generation = FakeGeneration(word("Pa"), word("ris"), LAST)
    async with aclosing(metered(generation.run(), admin, "starter", ledger)) as deltas:
        await anext(deltas)
        await anext(deltas)
    (row,) = rows(database, admin)
    assert generation.closed
    assert (row.completion_tokens, row.aborted) == (2, True)


async def test_an_answer_that_is_left_counts_its_prompt_where_that_was_told(
    ledger: Ledger, database: Database, admin: Principal
) -> None:
    told = Usage(prompt_tokens=20, completion_tokens=0)
    generation = FakeGeneration(msgspec.structs.replace(word("Pa"), usage=told), word("ris"), LAST)
    async with aclosing(metered(generation.run(), admin, "starter", ledger)) as deltas:
        await anext(deltas)
        await anext(deltas)
    (row,) = rows(database, admin)
    assert (row.prompt_tokens, row.completion_tokens) == (20, 2)
    assert (row.aborted, row.estimated) == (True, False)


async def test_an_answer_that_fails_counts_what_was_made(
    ledger: Ledger, database: Database, admin: Principal
) -> None:
    generation = FakeGeneration(word("Pa"), UpstreamFailed("gone"))
    with pytest.raises(UpstreamFailed):
        _ = [delta async for delta in metered(generation.run(), admin, "starter", ledger)]
    (row,) = rows(database, admin)
    assert (row.completion_tokens, row.aborted) == (1, True)


async def test_an_answer_whose_consumer_fails_is_recorded(
    ledger: Ledger, database: Database, admin: Principal
) -> None:
    generation = FakeGeneration(word("Pa"), LAST)
    deltas = metered(generation.run(), admin, "starter", ledger)
    await anext(deltas)
    with pytest.raises(ZeroDivisionError):
        await deltas.athrow(ZeroDivisionError())
    assert [row.aborted for row in rows(database, admin)] == [True]
    assert generation.closed


@pytest.mark.parametrize("library", ["asyncio", "anyio"])
async def test_an_answer_that_is_cancelled_is_recorded(
    ledger: Ledger, database: Database, admin: Principal, library: str
) -> None:
    generation = FakeGeneration(word("Pa"), hangs=True)

    async def consume(begun: Callable[[], None]) -> None:
        async with aclosing(metered(generation.run(), admin, "starter", ledger)) as deltas:
            async for _ in deltas:
                begun()

    if library == "asyncio":
        begun = asyncio.Event()
        task = asyncio.ensure_future(consume(begun.set))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        with anyio.CancelScope() as scope:
            await consume(scope.cancel)
    (row,) = rows(database, admin)
    assert (row.completion_tokens, row.aborted) == (1, True)
    assert generation.closed


async def test_an_answer_that_is_dropped_is_recorded(
    ledger: Ledger, database: Database, admin: Principal
) -> None:
    async def drop() -> None:
        async for _ in metered(FakeGeneration(word("Pa"), LAST).run(), admin, "starter", ledger):
            break

    await drop()
    gc.collect()
    for _ in tries():
        await asyncio.sleep(0.01)
        if rows(database, admin):
            break
    assert [row.aborted for row in rows(database, admin)] == [True]


async def test_a_request_that_is_refused_leaves_no_row(
    ledger: Ledger, database: Database, admin: Principal
) -> None:
    generation = FakeGeneration(BadRequest("too long"))
    with pytest.raises(BadRequest):
        await anext(metered(generation.run(), admin, "starter", ledger))
    assert rows(database, admin) == []


@pytest.mark.parametrize("finish", [FinishReason.CANCELLED, FinishReason.ERROR])
async def test_a_generation_that_its_engine_broke_off_is_aborted(
    ledger: Ledger, database: Database, admin: Principal, finish: FinishReason
) -> None:
    generation = FakeGeneration(word("Pa"), Delta(finish=finish, usage=USAGE))
    _ = [delta async for delta in metered(generation.run(), admin, "starter", ledger)]
    (row,) = rows(database, admin)
    assert (row.aborted, row.completion_tokens, row.estimated) == (True, 3, False)


async def test_a_model_that_counts_nothing_is_estimated(
    ledger: Ledger, database: Database, admin: Principal
) -> None:
    generation = FakeGeneration(
        Delta(text="Paris is "), Delta(text="a city."), Delta(finish=FinishReason.STOP)
    )
    stream = metered(generation.run(), admin, "far", ledger, prompt="What is Paris?")
    _ = [delta async for delta in stream]
    (row,) = rows(database, admin)
    assert (row.estimated, row.aborted) == (True, False)
    assert (row.prompt_tokens, row.completion_tokens) == (4, 4)


async def test_thinking_is_counted_apart(
    ledger: Ledger, database: Database, admin: Principal
) -> None:
    thought = TextToken(text="hm", data=b"hm")
    generation = FakeGeneration(
        Delta(reasoning="hm hm", tokens=(thought, thought)), word("Paris"), LAST
    )
    _ = [delta async for delta in metered(generation.run(), admin, "starter", ledger)]
    assert [row.reasoning_tokens for row in rows(database, admin)] == [2]


async def test_a_row_that_cannot_be_written_is_tried_once_and_told(
    ledger: Ledger, database: Database, admin: Principal
) -> None:
    async def answer(caller: Principal) -> None:
        generation = FakeGeneration(word("Pa"), LAST)
        stream = metered(generation.run(), caller, "starter", ledger, event_id="use_same")
        _ = [delta async for delta in stream]

    await answer(admin)
    with pytest.raises(Conflict):
        await answer(replace(admin, key_id="key_other"))
    assert len(rows(database, admin)) == 1
