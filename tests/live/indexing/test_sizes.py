"""How much a library holds: counted once after a write, and right after every one."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event

from tests.live.conftest import SCOPE
from tests.live.indexing.conftest import Shelf

ANNA = replace(SCOPE, marks=("group:board",))


@pytest.mark.parametrize("shelf", ["sqlite"], indirect=True)
def test_documents_are_counted_again_only_after_a_write(shelf: Shelf) -> None:
    counts: list[str] = []

    def note(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        if "sum(live_documents.size)" in sql:
            counts.append(sql)

    event.listen(shelf.index.database._readers, "before_cursor_execute", note)
    first, _ = shelf.put("One.", "one.md")
    for _ in range(3):
        assert _held(shelf) == [(1, 4)]
    assert len(counts) == 1
    shelf.put("Two, too.", "two.md")
    assert [_held(shelf) for _ in range(2)] == [[(2, 13)]] * 2
    shelf.index.delete_documents(SCOPE, shelf.library_id, [first])
    assert [_held(shelf) for _ in range(2)] == [[(1, 9)]] * 2
    assert len(counts) == 3


def test_each_caller_is_told_of_what_may_be_read(shelf: Shelf) -> None:
    shelf.put("Open.", "open.md")
    closed, _ = shelf.put("Closed.", "closed.md", access=("group:board",))
    for _ in range(2):
        assert _held(shelf) == [(1, 5)]
        assert _held(shelf, ANNA) == [(2, 12)]
    shelf.put("Closed.", "closed.md", document_id=closed)
    assert _held(shelf) == _held(shelf, ANNA) == [(2, 12)]


def _held(shelf: Shelf, scope: Any = SCOPE) -> list[tuple[int, int]]:
    return [(documents, size) for _, documents, size in shelf.queries.libraries(scope)]
