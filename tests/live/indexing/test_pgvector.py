"""Vectors that pgvector compares: what is nearest is found, and it moves with its passages."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from ponant.kit.errors import SetupError
from ponant.live import storage
from ponant.live.declarations import Declarations
from ponant.live.indexing import access, pgvector
from ponant.live.indexing.index import Index
from ponant.live.indexing.pgvector import VectorTable
from ponant.live.indexing.search import search
from ponant.live.port import SearchOptions
from tests.databases import opened
from tests.live.conftest import SCOPE
from tests.live.indexing.conftest import Shelf, vector_of
from tests.servers import postgres

pytestmark = pytest.mark.parametrize("shelf", ["pgvector"], indirect=True)

BOARD = replace(SCOPE, marks=("group:board",))


def _table(shelf: Shelf) -> VectorTable:
    assert shelf.index.table is not None
    return shelf.index.table


def _paragraphs(count: int) -> list[str]:
    """Texts that are a passage each."""
    return [f"Paragraph {number} " + "goes on for a while " * 10 + "." for number in range(count)]


def _nearest(index: Index, library_id: str, query: np.ndarray, limit: int = 10) -> list[str]:
    options = SearchOptions(mode="vector")
    found = search(index, SCOPE, [library_id], "-", query, limit, options)
    return [hit.text for hit in found.hits]


def _exact(texts: list[str], query: np.ndarray, limit: int = 10) -> list[str]:
    return sorted(texts, key=lambda text: -float(vector_of(text) @ query))[:limit]


def _query(number: int) -> np.ndarray:
    return vector_of(f"query {number} of {np.random.default_rng().integers(1 << 60)}")


def test_what_is_nearest_is_found(shelf: Shelf) -> None:
    texts = _paragraphs(60)
    shelf.put("\n\n".join(texts))
    for number in range(10):
        query = _query(number)
        assert _nearest(shelf.index, shelf.library_id, query) == _exact(texts, query)


def test_a_change_that_fails_leaves_no_vector(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.put("The first text.", "one.md")
    document = shelf.queries.documents(SCOPE, shelf.library_id)[0]

    def fail(point: str) -> None:
        if point == "staged":
            raise RuntimeError(point)

    monkeypatch.setattr("ponant.live.faults.point", fail)
    with pytest.raises(RuntimeError):
        shelf.put("The second text.", "one.md", document_id=document.id)
    monkeypatch.undo()
    assert _nearest(shelf.index, shelf.library_id, vector_of("The second text.")) == [
        "The first text."
    ]
    shelf.put("The second text.", "one.md", document_id=document.id)
    assert _nearest(shelf.index, shelf.library_id, vector_of("The first text.")) == [
        "The second text."
    ]
    shelf.index.delete_documents(SCOPE, shelf.library_id, [document.id])
    assert _nearest(shelf.index, shelf.library_id, vector_of("The first text.")) == []


def test_vectors_move_between_memory_and_the_database(shelf: Shelf, tmp_path: Path) -> None:
    database, clock = shelf.index.database, shelf.index.clock
    shelf.put("Stored by the database.", "one.md")
    gone, _ = shelf.put("Gone while in memory.", "gone.md")
    in_memory = Index(database, clock, tmp_path / "other", pgvector.chosen(database, "memory"))
    in_memory.load_vectors("test-embedder")
    query = vector_of("Stored by the database.")
    before = _nearest(in_memory, shelf.library_id, query)
    assert before == _nearest(shelf.index, shelf.library_id, query)
    Shelf(in_memory, shelf.queries, shelf.library_id).put("Stored in memory.", "two.md")
    in_memory.delete_documents(SCOPE, shelf.library_id, [gone])
    again = Index(database, clock, tmp_path / "other", pgvector.chosen(database, "auto"))
    again.load_last()  # without an embedder: nothing is embedded again
    assert again.identity == "test-embedder"
    for stored in ("Stored by the database.", "Stored in memory."):
        assert _nearest(again, shelf.library_id, vector_of(stored))[0] == stored
    assert len(_nearest(again, shelf.library_id, query)) == 2


def test_embedders_of_different_dimension_take_turns(shelf: Shelf) -> None:
    shelf.put("The same text for both.", "one.md")
    shelf.index.load_vectors("wider")
    lacking = shelf.queries.without_vector(SCOPE, shelf.library_id, 10)
    wide = {row: (key, vector_of("wide", 48)) for row, key, _ in lacking}
    assert _nearest(shelf.index, shelf.library_id, vector_of("wide", 48)) == []
    shelf.index.put_vectors(SCOPE, shelf.library_id, "wider", wide)
    assert len(_nearest(shelf.index, shelf.library_id, vector_of("wide", 48))) == 1
    assert _nearest(shelf.index, shelf.library_id, vector_of("narrow", 32)) == []
    shelf.index.load_vectors("test-embedder")
    assert len(_nearest(shelf.index, shelf.library_id, vector_of("narrow", 32))) == 1


@pytest.mark.parametrize("limit", [1, 3, 30])
def test_who_may_read_little_finds_all_of_it(shelf: Shelf, limit: int) -> None:
    texts = _paragraphs(50)
    readable = texts[:6]
    shelf.put("\n\n".join(texts[6:]), "kitchen.md", access=("group:kitchen",))
    shelf.put("\n\n".join(readable), "board.md", access=("group:board",))
    query = _query(0)
    with shelf.index.database.read() as session:
        conditions = [access.readable(BOARD)]
        found = _table(shelf).search(
            session, BOARD, [shelf.library_id], "test-embedder", query, conditions, limit
        )
        rows = access.passages(session, BOARD, [row for row, _ in found])
    assert [rows[row].text for row, _ in found] == _exact(readable, query, limit)


@pytest.mark.parametrize("mode", pgvector.MODES)
def test_where_vectors_are_compared(shelf: Shelf, tmp_path: Path, mode: str) -> None:
    assert (pgvector.chosen(shelf.index.database, mode) is None) == (mode == "memory")
    for kind in ("sqlite", "postgres"):
        with opened(kind, tmp_path / "plain.db", "live") as database:
            if mode == "pgvector":
                with pytest.raises(SetupError, match=r"PostgreSQL|CREATE EXTENSION"):
                    pgvector.chosen(database, mode)
            else:
                assert pgvector.chosen(database, mode) is None


def test_the_extension_is_made_where_it_is_asked_for(shelf: Shelf) -> None:
    server = postgres.shared("pgvector")
    address = server.fresh("live")
    with server.connect(address.rpartition("/")[2]) as connection:
        connection.execute("drop extension vector")
    database = storage.opened(Path(), address)
    assert pgvector.chosen(database, "auto") is None
    assert pgvector.chosen(database, "pgvector") is not None
    assert pgvector.chosen(database, "auto") is not None
    database.close()


@pytest.mark.parametrize("version", [(0, 7), (0, 8)])
def test_an_index_finds_nearly_all_that_is_nearest(shelf: Shelf, version: tuple[int, int]) -> None:
    """Also for who may read a part: it goes on, or, before 0.8, all of the part is compared."""
    texts = _paragraphs(1200)
    for half in (0, 1):
        access_list = ("group:board",) if half else None
        shelf.put("\n\n".join(texts[half::2]), f"{half}.md", access=access_list)
    table = VectorTable(shelf.index.database, version, approximate_from=1000)
    shelf.index.table = table
    assert shelf.index.keep_vectors(shelf.library_id) is None
    with shelf.index.database.write() as session:  # so few rows are sooner read by another
        session.execute(text("DROP INDEX ix_live_near_set"))
    hits = 0
    for number in range(20):
        query = _query(number)
        with shelf.index.database.read() as session:
            session.execute(text("SET LOCAL enable_seqscan = off"))
            session.execute(text("SELECT pg_stat_force_next_flush()"))
            conditions = [access.readable(SCOPE)]
            found = table.search(
                session, SCOPE, [shelf.library_id], "test-embedder", query, conditions, 10
            )
            rows = access.passages(session, SCOPE, [row for row, _ in found])
        exact = _exact(texts[::2], query)
        hits += len({rows[row].text for row, _ in found} & set(exact))
        assert [weight for _, weight in found] == sorted((w for _, w in found), reverse=True)
    assert hits / 200 >= 0.95
    with shelf.index.database.read() as session:
        used = text("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'live_near_1'")
        assert session.scalar(used) >= 20
    shelf.put("One more after the index.", "more.md")
    more = vector_of("One more after the index.")
    assert _nearest(shelf.index, shelf.library_id, more)[0] == "One more after the index."


def test_the_index_of_a_library_goes_with_it(shelf: Shelf) -> None:
    shelf.put("One.", "one.md")
    table = VectorTable(shelf.index.database, (0, 8), approximate_from=1)
    table.keep(shelf.library_id, "test-embedder")
    assert _indexes(shelf) == 1
    table.keep(shelf.library_id, "test-embedder")
    assert _indexes(shelf) == 1
    Declarations(shelf.index.database, shelf.index.clock).delete_library(SCOPE, shelf.library_id)
    table.keep(shelf.library_id, "test-embedder")
    assert _indexes(shelf) == 0


def _indexes(shelf: Shelf) -> int:
    with shelf.index.database.read() as session:
        count = text("SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%USING hnsw%'")
        return session.scalar(count)
