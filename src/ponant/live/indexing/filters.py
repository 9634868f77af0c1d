"""Conditions on documents' metadata, from plain objects to SQL; keys and values are only bound.

A list of strings holds each of its strings: a comparison holds where any of them does.
"""

import re
from typing import Any, TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    and_,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from ponant.kit.errors import BadRequest
from ponant.live.port import Comparison, Compound
from ponant.live.tables import DocumentRow

_KEY = re.compile(r"[^\"\\\x00-\x1f]{1,64}")
_DEEPEST = 8
_MOST = 100

_COLUMNS = {
    "name": DocumentRow.name,
    "path": DocumentRow.path,
    "media_type": DocumentRow.media_type,
    "source": DocumentRow.source_id,
    "url": DocumentRow.url,
}
_ORDERS = {"gt": "__gt__", "gte": "__ge__", "lt": "__lt__", "lte": "__le__"}

_Kind = TypeVar("_Kind", Comparison, Compound)
_Value = str | int | float | bool


def condition(filters: dict[str, Any]) -> ColumnElement[bool]:
    """The condition on `DocumentRow` that a filter says.

    Raises:
        BadRequest: it is not a `Comparison` or `Compound`, or has too many of them.
    """
    return _condition(filters, _DEEPEST, [_MOST])


def _condition(filters: dict[str, Any], depth: int, left: list[int]) -> ColumnElement[bool]:
    left[0] -= 1
    if depth == 0 or left[0] < 0:
        raise BadRequest(
            f"The filters are too deep or too many; at most {_MOST}, {_DEEPEST} deep.",
            param="filters",
        )
    if filters.get("type") not in {"and", "or"}:
        return _comparison(_converted(filters, Comparison))
    compound = _converted(filters, Compound)
    if not compound.filters:
        raise BadRequest("A compound filter is empty. Give it filters.", param="filters")
    parts = [_condition(part, depth - 1, left) for part in compound.filters]
    return and_(*parts) if compound.type == "and" else or_(*parts)


def _converted(filters: dict[str, Any], kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.convert(filters, kind)
    except msgspec.ValidationError as e:
        raise BadRequest(f"A filter is not well formed: {e}.", param="filters") from e


def _comparison(comparison: Comparison) -> ColumnElement[bool]:
    key, kind, value = comparison.key, comparison.type, comparison.value
    if _KEY.fullmatch(key) is None:
        raise BadRequest(
            "A filter's key has at most 64 characters, none of them a quotation mark or backslash.",
            param="filters",
        )
    if isinstance(value, list) != (kind in {"in", "nin"}):
        wanted = "one value" if isinstance(value, list) else "a list"
        raise BadRequest(f'The filter "{kind}" over {key} needs {wanted}.', param="filters")
    values: list[_Value] = list(value) if isinstance(value, list) else [value]
    if kind in {"eq", "in"}:
        return or_(false(), *(_has(key, one, "__eq__") for one in values))
    if kind in {"ne", "nin"}:
        return and_(true(), *(not_(_has(key, one, "__eq__")) for one in values))
    return _has(key, values[0], _ORDERS[kind])


def _has(key: str, value: _Value, compares: str) -> ColumnElement[bool]:
    """Whether a document has a value under that key that compares so; of another kind it never."""
    if key in _COLUMNS:
        held_here: ColumnElement[bool] = getattr(func.coalesce(_COLUMNS[key], ""), compares)(
            str(value)
        )
        return held_here
    held = _Values(DocumentRow.attributes, f'$."{key}"').table_valued("value", "type")
    if isinstance(value, bool):
        alike = held.c.type == ("true" if value else "false")
    elif isinstance(value, str):
        alike = and_(held.c.type == "text", getattr(held.c.value, compares)(value))
    else:
        number = _Number(held.c.value, held.c.type)
        wanted = literal(value, BigInteger() if isinstance(value, int) else Float())
        alike = and_(held.c.type.in_(("integer", "real")), getattr(number, compares)(wanted))
    return exists(select(1).select_from(held).where(alike))


class _Values(FunctionElement[Any]):
    """The values at a path of a JSON document, those of a list one by one, each with its type."""

    name = "values"
    inherit_cache = True


@compiles(_Values)
def _in_sqlite(element: _Values, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(_Values, "postgresql")
def _in_postgresql(element: _Values, compiler: SQLCompiler, **options: Any) -> str:
    return f"live_values({compiler.process(element.clauses, **options)})"


class _Number(FunctionElement[Any]):
    """A value that is a number, as one; the type stands beside it."""

    name = "number"
    inherit_cache = True


@compiles(_Number)
def _as_it_is(element: _Number, compiler: SQLCompiler, **options: Any) -> str:
    value, _ = element.clauses
    return str(compiler.process(value, **options))


@compiles(_Number, "postgresql")
def _cast(element: _Number, compiler: SQLCompiler, **options: Any) -> str:
    # A condition beside it would not do: they are not checked in their order.
    value, kind = (compiler.process(one, **options) for one in element.clauses)
    return f"CASE WHEN {kind} IN ('integer', 'real') THEN CAST({value} AS NUMERIC) END"
