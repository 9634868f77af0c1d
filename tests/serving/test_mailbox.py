"""Answers that wait for their reader."""

import asyncio

import msgspec
import pytest

from ponant.engine import Event, FinishReason, Token, Usage
from ponant.serving import wire
from ponant.serving.joining import joined
from ponant.serving.mailbox import Mailbox
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio


def told(*ids: int, finish: FinishReason | None = None, error: str | None = None) -> wire.Happened:
    usage = Usage(prompt_tokens=1, completion_tokens=9) if finish else None
    tokens = tuple(map(Token, ids))
    return wire.Happened(
        Event(request_id="r", tokens=tokens, finish=finish, usage=usage, error=error)
    )


async def test_what_waits_comes_as_one() -> None:
    box = Mailbox()
    for tell in (told(1), told(2, 3), told(finish=FinishReason.STOP)):
        box.put(tell)
    whole = await box.take()
    assert isinstance(whole, wire.Happened)
    assert [token.id for token in whole.event.tokens] == [1, 2, 3]
    assert whole.event.finish is FinishReason.STOP
    assert whole.event.usage is not None


@pytest.mark.parametrize(
    "last",
    [wire.Failed("gone"), told(finish=FinishReason.ERROR, error="NaN")],
    ids=["lost", "error"],
)
async def test_a_failure_stands_apart_from_what_came_before(last: wire.Tell) -> None:
    box = Mailbox()
    box.put(told(1))
    box.put(last)
    first = await box.take()
    assert isinstance(first, wire.Happened)
    assert first.event.finish is None
    assert await box.take() == last


async def test_a_reader_waits_for_the_next() -> None:
    box = Mailbox()
    waiting = asyncio.ensure_future(box.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    box.put(told(7))
    found = await asyncio.wait_for(waiting, PATIENCE)
    assert isinstance(found, wire.Happened)
    assert found.event.tokens[0].id == 7


def test_what_waits_together_is_told_together_for_each_request() -> None:
    def of(request_id: str, *ids: int, error: str | None = None) -> wire.Happened:
        finish = FinishReason.ERROR if error else None
        event = Event(request_id=request_id, tokens=tuple(map(Token, ids)), error=error)
        return wire.Happened(msgspec.structs.replace(event, finish=finish))

    busy = wire.Busy("c", "full", 1.0)
    tells = [of("a", 1), of("b", 7), busy, of("a", 2), of("b", 8), of("b", error="NaN")]
    assert joined(tells) == [of("a", 1, 2), of("b", 7, 8), of("b", error="NaN"), busy]
    assert joined([]) == []
