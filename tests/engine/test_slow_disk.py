"""Pages that come back from a slow disk: who needs them waits, and nobody else does."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponant.engine import Capabilities, EngineInfo, FinishReason, Request, Sampling
from ponant.engine.cache import PAGE_TOKENS, PageTable
from ponant.engine.loop import DecoderEngine
from ponant.engine.scheduler import Scheduler
from ponant.engine.spill import Spill
from ponant.kit import new_id
from tests.engine.collect import Collector
from tests.engine.page_audit import audit
from tests.fakes.decoder import FakeDecoder

PAGES = 40
DOCUMENT = [(7 * at + at * at // 9) % 60 for at in range(6 * PAGE_TOKENS + 1)]
CACHED = 6 * PAGE_TOKENS


class Life:
    """One life of an engine over a folder, whose reads from disk can be held."""

    def __init__(self, folder: Path, *, held: bool = False) -> None:
        self.go, self.reads = threading.Event(), threading.Event()
        if not held:
            self.go.set()
        decoder = FakeDecoder(64, PAGES, 512)
        self.spill = Spill(folder, decoder, 1 << 20)
        read = self.spill._read

        def slowly(name: str) -> bytes:
            self.reads.set()
            assert self.go.wait(60)
            return read(name)

        self.spill._read = slowly  # type: ignore[method-assign]
        self.table = PageTable(PAGES, store=self.spill)
        info = EngineInfo(
            backend="native",
            model_hash="0" * 64,
            weight_form="fp32",
            context_length=512,
            vocabulary_size=64,
            resident_bytes=0,
            capabilities=Capabilities(scoped_prefix_cache=True),
        )
        self.scheduler = Scheduler(self.table)
        self.engine = DecoderEngine(decoder, info, self.scheduler)

    def ask(self, prompt: list[int], scope: str = "mine") -> tuple[str, Collector]:
        asked = Request(
            id=new_id("req"),
            prompt=prompt,
            max_tokens=10,
            cache_scope=scope,
            sampling=Sampling(temperature=0),
        )
        collector = Collector()
        self.engine.submit(asked, collector.take)
        return asked.id, collector

    def close(self) -> None:
        self.go.set()
        self.engine.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where one life has left a document's pages."""
    life = Life(tmp_path)
    life.ask(DOCUMENT)[1].wait()
    life.close()
    return tmp_path


@pytest.fixture
def life(folder: Path) -> Iterator[Life]:
    life = Life(folder, held=True)
    yield life
    life.close()


def test_others_go_on_while_pages_are_read(life: Life, folder: Path) -> None:
    _, waits = life.ask(DOCUMENT)
    assert life.reads.wait(60)
    for number in range(3):
        life.ask([number] * 50, "theirs")[1].wait()
    assert waits.events == []
    life.go.set()
    found = waits.wait()
    assert found.last.usage is not None
    assert found.last.usage.cached_tokens == CACHED
    plain = Life(folder / "empty")
    assert plain.ask(DOCUMENT)[1].wait().ids == found.ids
    plain.close()


def test_who_leaves_meanwhile_leaves_no_page(life: Life) -> None:
    request_id, left = life.ask(DOCUMENT)
    assert life.reads.wait(60)
    life.engine.cancel(request_id)
    assert left.wait().last.finish is FinishReason.CANCELLED
    life.ask([3] * 50)[1].wait()
    life.go.set()
    deadline = time.monotonic() + 60
    while not life.scheduler.idle and time.monotonic() < deadline:
        time.sleep(0.001)
    life.engine.close()
    audit(life.table, [])
    assert life.table.available == PAGES


def test_what_is_forgotten_meanwhile_is_computed(life: Life) -> None:
    _, waits = life.ask(DOCUMENT)
    assert life.reads.wait(60)
    life.engine.forget(["doc/passage"])
    life.ask([3] * 50)[1].wait()  # by then the engine has heard it
    life.go.set()
    found = waits.wait()
    assert found.last.usage is not None
    assert found.last.usage.cached_tokens == 0


def test_a_second_reader_of_a_document_waits_for_the_first(life: Life) -> None:
    _, first = life.ask(DOCUMENT)
    assert life.reads.wait(60)
    _, second = life.ask([*DOCUMENT, 9])
    life.go.set()
    for found in (first.wait(), second.wait()):
        assert found.last.usage is not None
        assert found.last.usage.cached_tokens == CACHED
    assert life.spill.loaded == CACHED // PAGE_TOKENS
