"""What a caller may not read is nowhere to be found, whatever is asked and however."""

from dataclasses import replace

import pytest

from ponant.kit.errors import NotFound
from ponant.live.port import PassageRef
from tests.databases import KINDS_OF_VECTORS
from tests.live.conftest import SCOPE, STRANGER
from tests.live.indexing.conftest import Shelf

pytestmark = pytest.mark.parametrize("shelf", KINDS_OF_VECTORS, indirect=True)

ANNA = replace(SCOPE, marks=("person:per_anna", "group:board"))
BERT = replace(SCOPE, marks=("person:per_bert", "group:kitchen"))


@pytest.fixture
def stocked(shelf: Shelf) -> Shelf:
    shelf.put("The open menu lists soup.", "open.md")
    shelf.put("The board plans a merger.", "board.md", access=("group:board",))
    shelf.put("The kitchen wants a new stove.", "kitchen.md", access=("group:kitchen",))
    shelf.put("Nobody reads the sealed letter.", "sealed.md", access=())
    return shelf


def _names(shelf: Shelf, scope, **options) -> set[str]:
    found = shelf.search("open menu board merger kitchen stove sealed letter", scope, **options)
    return {hit.document_name for hit in found.hits}


@pytest.mark.parametrize("mode", ["hybrid", "keyword", "vector"])
@pytest.mark.parametrize(
    ("scope", "visible"),
    [
        (SCOPE, {"open.md"}),
        (ANNA, {"open.md", "board.md"}),
        (BERT, {"open.md", "kitchen.md"}),
        (
            replace(SCOPE, marks=("group:board", "group:kitchen")),
            {
                "open.md",
                "board.md",
                "kitchen.md",
            },
        ),
    ],
)
def test_search_finds_what_the_caller_may_read(stocked: Shelf, scope, visible, mode) -> None:
    assert _names(stocked, scope, mode=mode) == visible


@pytest.mark.parametrize("mode", ["keyword", "vector"])
def test_filters_do_not_open_what_is_closed(stocked: Shelf, mode) -> None:
    anything = {"type": "ne", "key": "name", "value": "x"}
    assert _names(stocked, ANNA, mode=mode, filters=anything) == {"open.md", "board.md"}


def test_a_closed_document_is_as_if_it_were_not_there(stocked: Shelf) -> None:
    board = next(
        hit for hit in stocked.search("board", ANNA).hits if hit.document_name == "board.md"
    )
    assert board.readers
    queries, library = stocked.queries, stocked.library_id
    ref = PassageRef(id=board.passage_id, hash=board.hash)
    assert queries.passage(ANNA, board.passage_id).document.access == ("group:board",)
    assert queries.check(ANNA, [ref])[0].state == "current"
    for outsider in (SCOPE, BERT):
        for ask in (
            lambda who: queries.passage(who, board.passage_id),
            lambda who: queries.document(who, library, board.document_id),
            lambda who: queries.text(who, library, board.document_id),
        ):
            with pytest.raises(NotFound):
                ask(outsider)
        assert queries.check(outsider, [ref])[0].state == "gone"
        assert board.document_id not in {one.id for one in queries.documents(outsider, library)}
        assert not any("board" in question for question in queries.questions(outsider, library))
    assert [count for _, count, _ in queries.libraries(SCOPE)] == [1]
    assert [count for _, count, _ in queries.libraries(ANNA)] == [2]
    assert queries.libraries(STRANGER) == []


def test_a_list_set_by_hand_holds_at_once_and_stays(stocked: Shelf) -> None:
    document_id, _ = stocked.put("A draft for all to read.", "draft.md")
    before = stocked.search("draft").versions
    moved = stocked.index.set_access(SCOPE, stocked.library_id, document_id, ["group:board"])
    assert moved.documents == ((document_id, "", "updated"),)
    assert moved.version == before[stocked.library_id] + 1
    for mode in ("keyword", "vector"):
        assert "draft.md" not in _names(stocked, SCOPE, mode=mode)
    stocked.put("A draft for all to read again.", "draft.md", document_id=document_id)
    assert "draft.md" not in _names(stocked, BERT)
    assert stocked.queries.document(ANNA, stocked.library_id, document_id).access == (
        "group:board",
    )


def test_access_is_the_same_after_a_restart(stocked: Shelf) -> None:
    stocked.index.load_vectors("test-embedder")
    assert _names(stocked, ANNA, mode="vector") == {"open.md", "board.md"}


def test_names_of_closed_documents_are_told_to_nobody(shelf: Shelf) -> None:
    document_id, moved = shelf.put("First.", "plan.md", access=("group:board",))
    assert moved.documents == ((document_id, "", "added"),)
    _, moved = shelf.put("Second.", "plan.md", document_id=document_id, access=("group:board",))
    assert moved.documents == ((document_id, "", "updated"),)
    moved = shelf.index.delete_documents(SCOPE, shelf.library_id, [document_id])
    assert moved.documents == ((document_id, "", "deleted"),)
