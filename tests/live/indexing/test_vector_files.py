"""A restart finds its vectors in files, and live.db tells which of them still count."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ponant.live.indexing import vector_rows, vectors
from ponant.live.indexing.index import Index
from ponant.live.indexing.vector_files import VectorFiles
from ponant.live.indexing.vectors import LibraryVectors, Rows
from ponant.live.reading.passages import fingerprint
from tests.live.conftest import SCOPE
from tests.live.indexing.conftest import Shelf


def _kept(shelf: Shelf) -> None:
    segment = shelf.index.keep_vectors(shelf.library_id)
    assert segment is not None
    shelf.index.attach_vectors(shelf.library_id, "test-embedder", segment)


def _found(shelf: Shelf, query: str) -> list[str]:
    found = shelf.search(query, mode="vector", limit=3)
    return [hit.document_name for hit in found.hits]


@pytest.fixture
def stocked(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setattr(vectors, "WORTH_A_FILE", 5)
    for number in range(12):
        shelf.put(f"This is sentence {number}.", f"{number}.md")
    return shelf


def test_a_restart_reads_only_what_the_file_lacks(
    stocked: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    _kept(stocked)
    new, _ = stocked.put("A sentence after the file.", "new.md")
    changed = stocked.queries.documents(SCOPE, stocked.library_id)[0]
    stocked.put("Another text now.", changed.name, document_id=changed.id)
    stocked.index.delete_documents(
        SCOPE, stocked.library_id, [stocked.queries.documents(SCOPE, stocked.library_id)[1].id]
    )
    expected = stocked.index.snapshot(stocked.library_id, 15)
    assert expected is not None
    read: list[int] = []
    plain = vector_rows.vectors_of

    def counting(session, scope, identity, documents):  # type: ignore[no-untyped-def]
        read.extend(documents)
        return plain(session, scope, identity, documents)

    monkeypatch.setattr(vector_rows, "vectors_of", counting)
    stocked.index.load_vectors("test-embedder")
    assert len(read) == 2
    after = stocked.index.snapshot(stocked.library_id, 15)
    assert after is not None
    assert after.ids == expected.ids
    assert _found(stocked, "A sentence after the file.")[0] == "new.md"
    assert _found(stocked, "Another text now.")[0] == changed.name
    assert new


def test_the_vectors_of_the_last_embedder_are_there_before_it_is(
    stocked: Shelf, tmp_path: Path
) -> None:
    _kept(stocked)
    known = stocked.index.snapshot(stocked.library_id, 12)
    assert known is not None
    again = Index(stocked.index.database, stocked.index.clock, tmp_path / "vectors")
    again.load_last()
    found = again.snapshot(stocked.library_id, 12)
    assert (again.identity, found is not None) == ("test-embedder", True)
    assert found is not None
    assert found.ids == known.ids


def test_without_files_no_vectors_are_loaded_ahead(shelf: Shelf, tmp_path: Path) -> None:
    again = Index(shelf.index.database, shelf.index.clock, tmp_path / "vectors")
    again.load_last()
    assert again.identity is None


def test_searches_are_the_same_before_and_after_a_file(stocked: Shelf) -> None:
    queries = [f"This is sentence {number}." for number in range(12)]
    before = [_found(stocked, query) for query in queries]
    _kept(stocked)
    assert [_found(stocked, query) for query in queries] == before
    stocked.put("One more.", "more.md")
    assert _found(stocked, "One more.")[0] == "more.md"
    assert stocked.index.keep_vectors(stocked.library_id) is None


@pytest.mark.parametrize("harm", ["cut", "garbage", "other"])
def test_a_file_that_makes_no_sense_is_passed_over(
    stocked: Shelf, tmp_path: Path, harm: str
) -> None:
    _kept(stocked)
    (path,) = (tmp_path / "vectors").glob("*.vectors")
    data = path.read_bytes()
    harmed = {
        "cut": data[:5000],
        "garbage": b"{" + data,
        "other": data.replace(b"test-e", b"mine-e"),
    }
    path.unlink()
    path.write_bytes(harmed[harm])
    stocked.index.load_vectors("test-embedder")
    assert _found(stocked, "This is sentence 3.")[0] == "3.md"


def test_a_file_of_another_past_of_the_database_does_not_belong(tmp_path: Path) -> None:
    files = VectorFiles(tmp_path)
    rng = np.random.default_rng(3)
    ids = np.array([1, 2, 5, 4], np.int64)
    inputs = {row: fingerprint(f"text {row}") for row in (1, 2, 4, 5)}
    assert files.belongs("lib", "e", inputs, 5)  # there is none
    rows = rng.standard_normal((4, 8)).astype(np.float32)
    assert files.write("lib", "e", ids, rows, inputs) is not None
    assert files.belongs("lib", "e", inputs, 5)
    assert files.belongs("lib", "e", {**inputs, 6: fingerprint("new")}, 6)
    assert files.belongs("lib", "e", {1: inputs[1]}, 9)  # the others went
    assert not files.belongs("lib", "e", {**inputs, 2: fingerprint("another")}, 6)
    assert not files.belongs("lib", "e", {1: inputs[1], 2: inputs[2]}, 2)  # 4 and 5 come anew


def test_the_files_of_a_library_go_with_it(stocked: Shelf, tmp_path: Path) -> None:
    _kept(stocked)
    stocked.index.forget_library(stocked.library_id)
    assert list((tmp_path / "vectors").iterdir()) == []


def test_the_approximate_index_proposes_nearly_all_that_is_nearest(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((40, 48)).astype(np.float32)

    def some(count: int) -> np.ndarray:
        made = centres[rng.integers(40, size=count)] + rng.standard_normal((count, 48))
        return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)

    files = VectorFiles(tmp_path, approximate_from=1000)
    library = LibraryVectors(0)
    first = some(3000)
    library.stage(1, (), Rows(np.arange(1, 3001), ["a"] * 1500 + ["b"] * 1500, first))
    library.publish(1)
    for version, more in ((2, 0), (3, 1500)):  # the second goes on from the first
        if more:
            rows = Rows(np.arange(3001, 3001 + more), ["c"] * more, some(more))
            library.stage(version, range(1, 200), rows)
            library.publish(version)
        kept = files.write(
            "lib", "e", library.latest.lasting.ids, library.latest.lasting.vectors, {}
        )
        assert kept is not None
        assert kept.graph is not None
        library.attach(kept)
    snapshot = library.latest
    alive = sorted(snapshot.ids)
    assert len(alive) == 3000 - 199 + 1500
    hits = 0
    for query in some(50):
        scores = snapshot.similarities(query, alive)
        exact = sorted(alive, key=lambda row: (-scores[row], row))[:10]
        hits += len(set(exact) & {row for row, _ in snapshot.search(query, 10)})
    assert hits / 500 >= 0.95
    only = snapshot.only(["b"])
    query = some(1)[0]
    scores = snapshot.similarities(query, range(1501, 3001))
    exact = sorted(scores, key=lambda row: (-scores[row], row))[:10]
    found = [row for row, _ in snapshot.search(query, 10, only)]
    assert len(set(found) & set(exact)) >= 9
    assert all(1501 <= row <= 3000 for row in found)


def test_what_came_last_joins_the_approximate_index_once_nothing_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Less than a fifth stayed beside it for ever, and was compared one by one."""
    monkeypatch.setattr(vectors, "MANY_BESIDE", 100)
    rng = np.random.default_rng(7)
    rows = _directions(rng.standard_normal((3200, 16)))
    files = VectorFiles(tmp_path, approximate_from=1000)
    library = LibraryVectors(0)
    library.stage(1, (), Rows(np.arange(3000), ["a"] * 3000, rows[:3000]))
    library.publish(1)

    def keep() -> None:
        lasting = library.latest.lasting
        kept = files.write("lib", "e", lasting.ids, lasting.vectors, {})
        assert kept is not None
        library.attach(kept)

    keep()
    assert not library.needs_a_file()
    for version, until in ((2, 3150), (3, 3200)):
        some = np.arange(library.latest.beside + 3000, until)
        library.stage(version, (), Rows(some, ["b"] * len(some), rows[some]))
        library.publish(version)
        assert not library.needs_a_file()  # more may come
    assert library.needs_a_file()
    keep()
    assert library.latest.beside == 0
    assert not library.needs_a_file()


def test_the_approximate_index_serves_questions_that_are_far_from_everything(
    tmp_path: Path,
) -> None:
    """They have no neighbourhood to descend into; with few candidates a fifth was missed."""
    rng = np.random.default_rng(6)
    centres = _directions(rng.standard_normal((40, 384)))
    around = rng.standard_normal((20_000, 384)) * 0.6 / np.sqrt(384)
    rows = _directions(centres[np.arange(20_000) % 40] + around)
    files = VectorFiles(tmp_path, approximate_from=1000)
    kept = files.write("lib", "e", np.arange(20_000), rows, {})
    assert kept is not None
    assert kept.graph is not None
    library = LibraryVectors(0)
    library.stage(1, (), Rows(np.arange(20_000), ["a"] * 20_000, rows))
    library.publish(1)
    library.attach(kept)
    hits = 0
    for question in _directions(rng.standard_normal((40, 384))):
        exact = np.argsort(-(rows @ question))[:10]
        hits += len(set(exact.tolist()) & {row for row, _ in library.latest.search(question, 10)})
    assert hits / 400 >= 0.95


def _directions(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    found = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(found, np.float32)
