"""What of a record becomes what of its document."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ponant.live.sources.port import Found
from ponant.live.sources.records import Shape, found

_ROW = {"id": 7, "name": "Net ", "text": "Fine mesh.", "price": Decimal("1.50"), "gone": None}


def _text(document: Found) -> str:
    return asyncio.run(document.read()).data.decode()  # type: ignore[arg-type]


def test_without_a_shape_every_field_is_a_line() -> None:
    assert _text(found(Shape(), "7", {"id": 7, "tags": ["a"], "at": None}, "s")) == (
        'id: 7\n\ntags: ["a"]\n\nat: '
    )


def test_a_title_heads_the_text_and_names_the_document() -> None:
    document = found(Shape(title="name", text=("text", "gone")), "7", _ROW, "s")
    assert (document.name, _text(document)) == ("Net", "# Net\n\nFine mesh.")


def test_a_template_takes_values_as_they_are_written() -> None:
    shape = Shape(template="{name}: {price} {gone}{never}{id.__class__}", url="https://s/{id}")
    document = found(shape, "7", _ROW | {"name": "{price}"}, "s")
    assert _text(document) == "{price}: 1.50 "  # nothing is looked up in what was put in
    assert document.url == "https://s/7"


def test_metadata_keeps_numbers_and_leaves_out_nothing_but_null() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    shape = Shape(metadata=("price", "gone", "id", "at", "tags"))
    document = found(shape, "7", _ROW | {"at": at, "tags": [1, "b"]}, "s")
    assert document.metadata == {
        "price": 1.5,
        "id": 7,
        "at": "2026-01-02T00:00:00+00:00",
        "tags": ["1", "b"],
    }


@pytest.mark.parametrize(
    ("value", "marks"),
    [
        ("sales, Ada@Example.org", ("email:ada@example.org", "group:sales")),
        (["person:per_1", "email:A@b.c"], ("email:a@b.c", "person:per_1")),
        ("", ()),
        (None, ()),
    ],
)
def test_access_is_closed_where_a_record_names_nobody(value: Any, marks: tuple[str, ...]) -> None:
    assert found(Shape(access=("who",)), "7", {"who": value}, "s").access == marks
    assert found(Shape(), "7", {"who": value}, "s").access is None


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), _VALUES))
def test_any_record_makes_a_document(record: dict[str, Any]) -> None:
    shape = Shape(title="a", metadata=("b",), access=("c",), template="{a}{b}{c}")
    document = found(shape, "key", record, "s")
    assert document.name
    assert isinstance(_text(document), str)
    assert document.access is not None
