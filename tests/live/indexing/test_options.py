"""What a search may ask for beside its hits."""

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from ponant.kit.errors import BadRequest, NotFound, Unavailable
from ponant.live.indexing import keywords
from ponant.live.indexing.search import search
from ponant.live.indexing.vectors import Snapshot
from ponant.live.port import SearchOptions
from tests.databases import KINDS_OF_VECTORS
from tests.live.conftest import SCOPE, STRANGER, Installation, in_step
from tests.live.indexing.conftest import Shelf, vector_of
from tests.patience import PATIENCE

TEXT = "\n\n".join(
    f"Paragraph {word} tells at some length, as paragraphs that stand on their own do, of the "
    f"{word} and of nothing else that anybody would ever want to look for in this handbook."
    for word in ("anchors", "beacons", "compasses", "decks", "engines")
)


def test_neighbours_come_along(shelf: Shelf) -> None:
    shelf.put(TEXT)
    hit = shelf.search("compass", mode="keyword", limit=1, neighbours=1).hits[0]
    assert "compasses" in hit.text
    assert hit.before.startswith("Paragraph beacons")
    assert hit.after.startswith("Paragraph decks")
    edge = shelf.search("anchor", mode="keyword", limit=1, neighbours=2).hits[0]
    assert edge.before == ""
    assert edge.after.startswith("Paragraph beacons")
    assert edge.after.endswith(shelf.search("compass", mode="keyword", limit=1).hits[0].text)
    with pytest.raises(BadRequest):
        shelf.search("anchor", neighbours=100)


@pytest.mark.parametrize("shelf", KINDS_OF_VECTORS, indirect=True)
def test_keywords_answer_where_the_question_is_not_embedded(shelf: Shelf) -> None:
    shelf.put(TEXT)
    never: Future[None] = Future()
    never.cancel()
    late: Future[np.ndarray | None] = Future()
    late.set_result(vector_of("beacons"))
    answers = {}
    for name, vector in (("never", never), ("late", late), ("none", None)):
        options = SearchOptions()
        where = [shelf.library_id]
        answers[name] = search(shelf.index, SCOPE, where, "beacon", vector, 50, options).hits
    assert [len(answers[name]) for name in ("never", "none", "late")] == [1, 1, 5]
    assert answers["never"][0].text.startswith("Paragraph beacons")


def test_many_vectors_are_compared_while_keywords_are_looked_for(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.put(TEXT)
    alone = shelf.search("beacons")
    compared = threading.Event()
    by_keyword, by_vector = keywords.search, Snapshot.search

    def after_vectors(*asked: Any) -> list[tuple[int, float]]:
        assert compared.wait(PATIENCE)
        return by_keyword(*asked)

    def telling(*asked: Any) -> list[tuple[int, float]]:
        found = by_vector(*asked)
        compared.set()
        return found

    monkeypatch.setattr("ponant.live.indexing.search._WORTH_A_THREAD", 1)
    monkeypatch.setattr(keywords, "search", after_vectors)
    monkeypatch.setattr(Snapshot, "search", telling)
    assert shelf.search("beacons") == alone


@pytest.mark.parametrize(
    ("text", "query", "marked"),
    [
        ("The refunded customers wait.", "refund a customer", ["refunded", "customers"]),
        ("\u7eff\u8336\u548c\u7ea2\u8336\u3002", "\u7eff\u8336", ["\u7eff\u8336"]),
        ("\u5728\u4f1a\u8bae\u5ba4\u91cc\u3002", "\u4f1a\u8bae\u5ba4", ["\u4f1a\u8bae\u5ba4"]),
        ("An ÉTÉ in town.", "été", ["ÉTÉ"]),
    ],
)
def test_highlights_point_at_the_words(
    shelf: Shelf, text: str, query: str, marked: list[str]
) -> None:
    shelf.put(text)
    hit = shelf.search(query, highlights=True).hits[0]
    assert [hit.text[start:end] for start, end in hit.highlights] == marked


@pytest.mark.parametrize("shelf", KINDS_OF_VECTORS, indirect=True)
def test_a_hit_below_the_least_score_is_left_out(shelf: Shelf) -> None:
    shelf.put("Only this very sentence is alike.", "alike.md")
    shelf.put("Another sentence is not.", "other.md")
    query = "Only this very sentence is alike."
    found = shelf.search(query, min_score=0.99).hits
    assert [hit.document_name for hit in found] == ["alike.md"]
    assert len(shelf.search(query).hits) == 2


def test_hits_say_of_which_version_they_are(shelf: Shelf) -> None:
    _, moved = shelf.put("A word.")
    result = shelf.search("word")
    assert result.versions == {shelf.library_id: moved.version}
    assert result.hits[0].library_version == moved.version
    assert result.hits[0].as_of == moved.as_of


def test_exact_vectors_are_exact(shelf: Shelf) -> None:
    rng = np.random.default_rng(3)
    for number in range(40):
        words = " ".join(f"w{rng.integers(1000)}" for _ in range(12))
        shelf.put(f"{words}\n\n# Part {number}\n\n{words} again", f"{number}.md")
    snapshot = shelf.index.snapshot(shelf.library_id, 40)
    assert snapshot is not None
    rows = sorted(snapshot.ids)
    for _ in range(20):
        query = rng.standard_normal(32).astype(np.float32)
        query /= np.linalg.norm(query)
        scores = snapshot.similarities(query, rows)
        expected = sorted(rows, key=lambda row: (-scores[row], row))[:10]
        assert [row for row, _ in snapshot.search(query, 10)] == expected


@pytest.mark.anyio
async def test_a_search_waits_for_a_version(installation: Installation) -> None:
    installation.write("a.md", "The first note.")
    async with installation.running() as knowledge:
        library = await knowledge.create_library(SCOPE, "Notes")
        await knowledge.add_source(SCOPE, library.id, "folder", {"path": str(installation.folder)})
        now = (await in_step(knowledge, library.id, 1)).freshness.version

        def asked(version: int, wait: float) -> SearchOptions:
            return SearchOptions(at_least={library.id: version}, wait=wait)

        waiting = asyncio.create_task(
            knowledge.search(SCOPE, [library.id], "second note", 5, asked(now + 1, 60))
        )
        await asyncio.sleep(0.05)
        assert not waiting.done()
        installation.write("b.md", "The second note.")
        found = await waiting
        assert found.versions[library.id] > now
        assert "b.md" in {hit.document_name for hit in found.hits}
        with pytest.raises(Unavailable, match="stands at version"):
            await knowledge.search(SCOPE, [library.id], "note", 5, asked(10_000, 0.05))
        with pytest.raises(BadRequest):
            await knowledge.search(SCOPE, [library.id], "note", 5, asked(1, 1e9))
        with pytest.raises(NotFound):
            await knowledge.search(STRANGER, [library.id], "note", 5, asked(1, 1))
