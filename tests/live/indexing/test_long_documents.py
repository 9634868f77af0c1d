"""A document of many passages goes in beside searches, which it does not hold up."""

from typing import Any

from sqlalchemy import event

from tests.live.indexing.conftest import Shelf

_MOST_PARAMETERS = 1_000


def test_no_statement_binds_thousands_of_parameters(shelf: Shelf) -> None:
    """SQLite looks for a named parameter among all others: their number counts squared."""
    most = 0

    def note(_connection: Any, _cursor: Any, _sql: str, bound: Any, *_: Any) -> None:
        nonlocal most
        runs = bound if isinstance(bound, list) else [bound]
        most = max(most, *map(len, runs))

    event.listen(shelf.index.database.engine, "before_cursor_execute", note)
    document_id, moved = shelf.put(_text("first"))
    assert len(moved.added) == 400
    shelf.put(_text("second"), document_id=document_id)
    assert 0 < most <= _MOST_PARAMETERS


def _text(name: str) -> str:
    return "\n\n".join(
        f"Paragraph {number} of the {name} version tells at some length, as paragraphs that stand "
        "on their own do, of one thing and of nothing else that anybody would ever look for."
        for number in range(400)
    )
