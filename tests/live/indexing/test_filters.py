"""Filters over metadata choose documents the same way for keywords and for vectors."""

import pytest

from ponant.kit.errors import BadRequest
from tests.databases import KINDS_OF_VECTORS
from tests.live.indexing.conftest import Shelf

pytestmark = pytest.mark.parametrize("shelf", KINDS_OF_VECTORS, indirect=True)

RED = {"year": 2024, "tags": ["wine", "red"], "draft": False, "score": 1.5, "team's": "A"}
WHITE = {"year": 2020, "tags": ["wine", "white"], "draft": True}


@pytest.fixture
def stocked(shelf: Shelf) -> Shelf:
    shelf.put("A cellar note on wine from the south.", "red.md", metadata=RED)
    shelf.put("A cellar note on wine from the north.", "white.md", metadata=WHITE)
    shelf.put("A cellar note on wine without a label.", "bare.md")
    return shelf


def _is(kind: str, key: str, value: object) -> dict[str, object]:
    return {"type": kind, "key": key, "value": value}


CASES = [
    (_is("eq", "year", 2024), {"red"}),
    (_is("ne", "year", 2024), {"white", "bare"}),
    (_is("gt", "year", 2020), {"red"}),
    (_is("gte", "year", 2020), {"red", "white"}),
    (_is("lt", "score", 2), {"red"}),
    (_is("lte", "year", "2024"), set()),
    (_is("eq", "tags", "wine"), {"red", "white"}),
    (_is("in", "tags", ["white", "rosé"]), {"white"}),
    (_is("nin", "tags", ["white"]), {"red", "bare"}),
    (_is("in", "year", []), set()),
    (_is("eq", "draft", True), {"white"}),
    (_is("eq", "draft", 1), set()),
    (_is("eq", "team's", "A"), {"red"}),
    (_is("eq", "name", "bare.md"), {"bare"}),
    (_is("eq", "x') OR 1=1 --", "A"), set()),
    (
        {"type": "and", "filters": [_is("eq", "tags", "wine"), _is("lt", "year", 2022)]},
        {"white"},
    ),
    (
        {
            "type": "or",
            "filters": [
                _is("eq", "name", "bare.md"),
                {"type": "and", "filters": [_is("gt", "year", 2000), _is("ne", "draft", True)]},
            ],
        },
        {"bare", "red"},
    ),
]


@pytest.mark.parametrize("mode", ["keyword", "vector"])
@pytest.mark.parametrize(("filters", "wanted"), CASES)
def test_a_filter_chooses_documents(stocked: Shelf, filters, wanted, mode) -> None:
    found = stocked.search("cellar wine", mode=mode, filters=filters)
    assert {hit.document_name.removesuffix(".md") for hit in found.hits} == wanted


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"type": "like", "key": "year", "value": 1},
        {"type": "eq", "key": 'a"b', "value": 1},
        {"type": "eq", "key": "", "value": 1},
        {"type": "eq", "key": "year", "value": [1]},
        {"type": "in", "key": "year", "value": 1},
        {"type": "and", "filters": []},
        {"type": "and", "filters": [{"type": "or", "filters": [3]}]},
        {"type": "eq", "key": "year", "value": 1, "more": 2},
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(stocked: Shelf, filters) -> None:
    with pytest.raises(BadRequest):
        stocked.search("wine", filters=filters)


def test_a_filter_is_bounded(stocked: Shelf) -> None:
    deep: dict[str, object] = _is("eq", "year", 1)
    for _ in range(20):
        deep = {"type": "and", "filters": [deep]}
    wide = {"type": "or", "filters": [_is("eq", "year", 1)] * 200}
    for filters in (deep, wide):
        with pytest.raises(BadRequest):
            stocked.search("wine", filters=filters)
