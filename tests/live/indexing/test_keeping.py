"""Old word of passages that went is forgotten, and what is young stays."""

from datetime import timedelta

import pytest

from ponant.live.indexing.ingestion import Ingestion
from ponant.live.indexing.keeping import forget
from ponant.live.port import PassageRef
from tests.live.conftest import SCOPE
from tests.live.indexing.conftest import Shelf


class _Later:
    def __init__(self, shelf: Shelf, days: int) -> None:
        self._now = shelf.index.clock.now() + timedelta(days=days)

    def now(self):  # type: ignore[no-untyped-def]
        return self._now


@pytest.mark.anyio
async def test_old_tombstones_are_forgotten(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    document_id, _ = shelf.put("A note that goes.")
    hit = shelf.search("note").hits[0]
    shelf.index.delete_documents(SCOPE, shelf.library_id, [document_id])
    ref = PassageRef(id=hit.passage_id, hash=hit.hash)
    ingestion = Ingestion(shelf.index, None, lambda *_: None)
    try:
        for days, remembered in ((30, True), (100, False)):
            monkeypatch.setattr(shelf.index, "clock", _Later(shelf, days))
            forget(ingestion)
            (state,) = shelf.queries.check(SCOPE, [ref])
            assert state.state == "gone"
            assert (state.changed_at is not None) is remembered
            monkeypatch.undo()
    finally:
        await ingestion.close()
