"""Ten thousand requests through the engine's loop, with every page counted after every step."""

import random
from collections import Counter

import pytest

from ponant.engine import FinishReason
from ponant.engine.loop import DecoderEngine
from ponant.serving.echo import load_echo_tokenizer
from ponant.text.grammar import constraint_factory
from tests.engine.collect import Collector
from tests.engine.page_audit import audit
from tests.engine.test_loop import Bench, any_request


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> list[AssertionError]:
    """What an audit of the pages finds, after every step."""
    found: list[AssertionError] = []
    step = DecoderEngine._try_step

    def audited(self: DecoderEngine) -> None:
        step(self)
        scheduler = self._scheduler
        leases = [sequence.lease for sequence in (*scheduler._running, *scheduler._reading)]
        try:
            audit(scheduler._table, [*leases, *(lease for lease, _ in scheduler._leaving)])
        except AssertionError as e:
            found.append(e)

    monkeypatch.setattr(DecoderEngine, "_try_step", audited)
    return found


def test_no_page_is_lost_in_ten_thousand_requests(faults: list[AssertionError]) -> None:
    """Lengths, grammars, shared prefixes, cancellations: every page is counted after every step."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    prefixes = [[chance.randrange(90) for _ in range(chance.randrange(1, 90))] for _ in range(6)]
    ended: Counter[FinishReason | None] = Counter()
    with Bench(pages=40, constraints=constraint_factory(load_echo_tokenizer())) as bench:
        for _ in range(100):
            asked = [any_request(chance, prefixes, (0, 1, 2, 5)) for _ in range(100)]
            collectors = [Collector() for _ in asked]
            for one, collector in zip(asked, collectors, strict=True):
                bench.engine.submit(one, collector.take)
                if chance.random() < 0.1:
                    bench.engine.cancel(chance.choice([one, chance.choice(asked)]).id)
            ended.update(collector.wait().last.finish for collector in collectors)
            assert not faults, f"seed {seed}: {faults[0]}"
        assert bench.table.available == bench.pages, f"seed {seed}"
    assert ended.total() == 10_000
    assert ended[FinishReason.CANCELLED]
    assert not ended[FinishReason.ERROR], f"seed {seed}"
