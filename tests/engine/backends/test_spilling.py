"""Cached pages on disk, with a real model: a document survives a restart, and changes nothing."""

from pathlib import Path

import pytest

from ponant.engine import Request, Sampling, Tag
from ponant.engine.backends.native import NativeEngine
from ponant.engine.cache import PAGE_TOKENS
from ponant.kit import new_id
from tests.engine.collect import Collector, run_all
from tests.engine.tiny import VOCABULARY

DOCUMENT = [(7 * at + at * at // 9) % VOCABULARY for at in range(200)]
CACHED = 199 // PAGE_TOKENS * PAGE_TOKENS


def ask(path: Path, folder: Path | None, *scopes: str) -> list[Collector]:
    """One life of an engine: the document is read once for each scope."""
    spill = None if folder is None else (folder, 1 << 26)
    engine = NativeEngine(path, context_length=512, threads=1, spill=spill)
    try:
        return [
            run_all(
                engine,
                [
                    Request(
                        id=new_id("req"),
                        prompt=DOCUMENT,
                        max_tokens=20,
                        cache_scope=scope,
                        sampling=Sampling(temperature=0),
                    )
                ],
            )[0]
            for scope in scopes
        ]
    finally:
        engine.close()


def test_a_document_survives_a_restart(tiny: Path, tmp_path: Path) -> None:
    [plain] = ask(tiny, None, "mine")
    [first] = ask(tiny, tmp_path, "mine")
    again, theirs = ask(tiny, tmp_path, "mine", "theirs")
    cached = [found.last.usage.cached_tokens for found in (first, again, theirs)]
    assert cached == [0, CACHED, 0]
    assert plain.ids == first.ids == again.ids == theirs.ids


def test_a_damaged_cache_changes_nothing(tiny: Path, tmp_path: Path) -> None:
    [first] = ask(tiny, tmp_path, "mine")
    for path in tmp_path.rglob("*.page"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 255
        path.write_bytes(bytes(data))
    [again] = ask(tiny, tmp_path, "mine")
    assert again.last.usage.cached_tokens == 0
    assert again.ids == first.ids


def test_without_a_usable_folder_the_model_serves(
    tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    [found] = ask(tiny, tmp_path / "file", "mine")
    assert len(found.ids) == 20
    assert "not kept on disk" in caplog.text


def test_what_is_forgotten_is_not_found_after_a_restart(tiny: Path, tmp_path: Path) -> None:
    def life(*, forgets: bool) -> int:
        engine = NativeEngine(tiny, context_length=512, threads=1, spill=(tmp_path, 1 << 26))
        request = Request(
            id=new_id("req"),
            prompt=DOCUMENT,
            max_tokens=2,
            cache_scope="mine",
            tags=(Tag(5 * PAGE_TOKENS + 3, "doc/passage"),),
            sampling=Sampling(temperature=0),
        )
        try:
            [found] = run_all(engine, [request])
            if forgets:
                engine.forget(["doc/passage"])
        finally:
            engine.close()
        return found.last.usage.cached_tokens

    assert life(forgets=False) == 0
    assert life(forgets=True) == CACHED
    assert life(forgets=False) == 5 * PAGE_TOKENS
