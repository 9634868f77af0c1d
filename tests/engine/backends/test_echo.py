"""Echo at a pace, as a model that takes its time."""

import threading

import pytest

from ponant.engine import FinishReason, Request, Sampling
from ponant.engine.backends.echo import ANSWER, BEGIN, END, EchoEngine
from tests.engine.collect import Collector


def _asked(name: str) -> Request:
    return Request(
        id=name,
        prompt=[BEGIN, *b"wind", ANSWER],
        max_tokens=20,
        sampling=Sampling(temperature=0),
        stop_tokens=(END,),
    )


@pytest.mark.parametrize("rate", [0.0, 200.0])
def test_a_pace_changes_nothing_that_is_said(rate: float) -> None:
    engine = EchoEngine(rate=rate)
    asked = [Collector() for _ in range(3)]
    for number, collector in enumerate(asked):
        engine.submit(_asked(str(number)), collector.take)
    for collector in asked:
        assert bytes(collector.wait().ids) == b"wind"
        assert all(len(event.tokens) <= 1 for event in collector.events)
    engine.close()


def test_a_slow_answer_ends_when_it_is_cancelled() -> None:
    engine = EchoEngine(rate=1e-4)
    collector = Collector()
    engine.submit(_asked("slow"), collector.take)
    engine.cancel("slow")
    assert collector.wait().last.finish is FinishReason.CANCELLED
    engine.close()


def test_a_new_answer_does_not_wait_for_a_slow_one() -> None:
    engine = EchoEngine(rate=1e-4)
    for name in ("first", "second"):
        came = threading.Event()
        engine.submit(_asked(name), lambda _, came=came: came.set())
        assert came.wait(60)
    engine.close()
