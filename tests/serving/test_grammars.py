"""Grammars are prepared while nothing runs: whoever does it holds the interpreter's lock."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ponant.engine import Event
from ponant.engine.port import ConstraintFactory
from ponant.serving import loading
from ponant.serving.echo import load_echo_tokenizer
from ponant.serving.loading import Grammars
from ponant.serving.wire import WorkerSpec
from ponant.text.grammar import constraint_factory, regex
from ponant.text.tokenizer import Tokenizer
from tests.engine.collect import Collector
from tests.engine.test_loop import Bench, request

_GRAMMAR = regex("[ab]{3}")


class _Order:
    """What happened, in order; tokens wait at a gate behind the first."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.begun, self.gate = threading.Event(), threading.Event()
        self.prepared = threading.Event()

    def prepare(self, tokenizer: Tokenizer) -> ConstraintFactory:
        self.happened.append("prepared")
        self.prepared.set()
        return constraint_factory(tokenizer)


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> _Order:
    made = _Order()
    monkeypatch.setattr(loading, "constraint_factory", made.prepare)
    monkeypatch.setattr(loading, "load_tokenizer", lambda *_: load_echo_tokenizer())
    return made


class _Stream(Collector):
    """A request whose tokens are held up behind the first."""

    def __init__(self, order: _Order) -> None:
        super().__init__()
        self._order = order

    def take(self, event: Event) -> None:
        self._order.happened += ["token"] * len(event.tokens)
        self._order.begun.set()
        assert self._order.gate.wait(60)
        super().take(event)


def _spec(tmp_path: Path) -> WorkerSpec:
    return WorkerSpec(backend="native", path=str(tmp_path / "model.gguf"), cache=str(tmp_path))


def _begin(bench: Bench, order: _Order) -> _Stream:
    """A stream that has told its first token."""
    stream = _Stream(order)
    bench.engine.submit(request([1, 2, 3], max_tokens=20), stream.take)
    assert order.begun.wait(60)
    return stream


def test_a_stream_tells_all_its_tokens_before_they_are_prepared(
    order: _Order, tmp_path: Path
) -> None:
    with Bench(drafts=False) as bench:
        stream = _begin(bench, order)
        Grammars(_spec(tmp_path), after=0).prepare_when_idle(lambda: bench.engine.busy)
        order.gate.set()
        stream.wait()
        assert order.prepared.wait(60)
    assert order.happened == ["token"] * 20 + ["prepared"]


def test_a_grammar_that_is_asked_for_lets_a_stream_go_on(order: _Order, tmp_path: Path) -> None:
    grammars = Grammars(_spec(tmp_path), after=600, patience=60)
    with Bench(drafts=False) as bench, ThreadPoolExecutor(1) as callers:
        stream = _begin(bench, order)
        grammars.prepare_when_idle(lambda: bench.engine.busy)
        asked = callers.submit(grammars, _GRAMMAR)
        order.gate.set()
        stream.wait()
        assert asked.result(60).accept(ord("a"))
    assert order.happened == ["token"] * 20 + ["prepared"]


def test_a_grammar_does_not_wait_for_ever(order: _Order, tmp_path: Path) -> None:
    grammars = Grammars(_spec(tmp_path), after=600, patience=0)
    with Bench(drafts=False) as bench:
        stream = _begin(bench, order)
        grammars.prepare_when_idle(lambda: bench.engine.busy)
        assert grammars(_GRAMMAR).accept(ord("b"))
        order.gate.set()
        stream.wait()
    assert order.happened[:2] == ["token", "prepared"]
