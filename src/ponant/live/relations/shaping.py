"""Turns rows of Python values into typed JSON, and says which types hold two others.

A column's type is inferred from its values and only ever widens, so that nothing stored is lost:
whole numbers become decimals or text where they must, and what fits nowhere else is text.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import msgspec

from ponant.live.relations.port import Key, Row

NOTHING = "NULL"  # a column of which only NULL is known
_WHOLE = 2**63
_EXACT = 2**53  # whole numbers below are exact as DOUBLE
_DIGITS, _SCALE = 38, 10
DECIMAL = f"DECIMAL({_DIGITS},{_SCALE})"
_LONGEST_NAME = 100

# Unordered pairs of types and the one that holds both; of any other pair, text does.
_HOLDS = {
    frozenset(("BIGINT", "HUGEINT")): "HUGEINT",
    frozenset(("BIGINT", "DOUBLE")): "DOUBLE",
    frozenset(("BIGINT", DECIMAL)): DECIMAL,
    frozenset(("DATE", "TIMESTAMPTZ")): "TIMESTAMPTZ",
}


@dataclass(frozen=True, slots=True)
class Shaped:
    """Rows ready to store.

    Attributes:
        types: each column's type, NOTHING where all of its values are NULL.
        rows: the rows as a JSON array of objects.
        count: how many they are, one a key.
        refused: what is wrong with rows that are not among them, by their place in the batch.
    """

    types: dict[str, str]
    rows: bytes
    count: int
    refused: dict[int, str] = field(default_factory=dict)


def wider(first: str, second: str) -> str:
    """The narrowest type that holds the values of both."""
    if first == second or second == NOTHING:
        return first
    if first == NOTHING:
        return second
    if "JSON" in (first, second):
        return "JSON"
    return _HOLDS.get(frozenset((first, second)), "VARCHAR")


def shape(rows: Sequence[Row], key: Sequence[str]) -> Shaped:
    """Find the columns' types and encode the rows; of two with one key the later stays.

    A row that cannot be stored is left out and named in ``refused``.
    """
    refused: dict[int, str] = {}
    kept: dict[Key, Row] = {}
    for number, row in enumerate(rows):
        reason = _fault(row, key)
        if reason:
            refused[number] = reason
            continue
        kept[tuple(row[name] for name in key)] = row
    types = _types(kept.values())
    encoded = _encoded(list(kept.values()), types, refused)
    return Shaped(types, encoded, len(kept), refused)


def shape_keys(keys: Sequence[Key], key: Sequence[str]) -> Shaped:
    """Keys of rows that are gone, encoded like rows of the key columns alone."""
    return shape([dict(zip(key, values, strict=True)) for values in keys], key)


def _fault(row: Row, key: Sequence[str]) -> str:
    """Why a row cannot be stored, or ""."""
    for name in key:
        value = row.get(name)
        if value is None:
            return f"It has no value in the key column {name}. Give it one at its source."
        if isinstance(value, (list, dict)):
            return f"The key column {name} holds a list or an object. Name another key."
    folded = {name.casefold() for name in row}
    if len(folded) < len(row):
        return "Two of its columns differ only in upper and lower case. Rename one."
    if any(not 0 < len(name) <= _LONGEST_NAME or not name.isprintable() for name in row):
        return f"A column's name is empty, unprintable or over {_LONGEST_NAME} characters."
    return ""


def _types(rows: Iterable[Row]) -> dict[str, str]:
    types: dict[str, str] = {}
    for row in rows:
        for name, value in row.items():
            known = types.get(name, NOTHING)
            found = _TYPES.get(type(value))
            if found is None or found in ("BIGINT", DECIMAL):
                found = _type_of(value)
            if found != known:
                types[name] = wider(known, found)
            elif name not in types:
                types[name] = found
    return types


_TYPES: dict[type, str] = {
    type(None): NOTHING,
    bool: "BOOLEAN",
    int: "BIGINT",
    float: "DOUBLE",
    str: "VARCHAR",
    bytes: "BLOB",
    Decimal: DECIMAL,
    datetime: "TIMESTAMPTZ",
    date: "DATE",
    time: "TIME",
}


def _type_of(value: object) -> str:
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, int):
        if -_WHOLE <= value < _WHOLE:
            return "BIGINT"
        return "HUGEINT" if abs(value) < 2**127 else "VARCHAR"
    if isinstance(value, Decimal):
        return DECIMAL if _fits(value) else "VARCHAR"
    if isinstance(value, (list, tuple, dict)):
        return "JSON"
    return next((name for kind, name in _TYPES.items() if isinstance(value, kind)), "VARCHAR")


def _fits(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):  # NaN and infinities
        return False
    return -exponent <= _SCALE and value.adjusted() < _DIGITS - _SCALE


def _encoded(rows: list[Row], types: Mapping[str, str], refused: dict[int, str]) -> bytes:
    """The rows as JSON, with the values that JSON or the column's type would change as text."""
    turns = {name: _TURNS[kind] for name, kind in types.items() if kind in _TURNS}
    turned: list[Row] = rows
    if turns:
        turned = [
            {
                name: turns[name](value) if name in turns and value is not None else value
                for name, value in row.items()
            }
            for row in rows
        ]
    try:
        return msgspec.json.encode(turned)
    except (TypeError, ValueError, OverflowError):
        return _encoded_one_by_one(turned, refused)


def _encoded_one_by_one(rows: list[Row], refused: dict[int, str]) -> bytes:
    good: list[bytes] = []
    for row in rows:
        try:
            good.append(msgspec.json.encode(row))
        except (TypeError, ValueError, OverflowError) as e:
            refused[-1 - len(refused)] = f"A value cannot be stored: {e}."
    return b"[" + b",".join(good) + b"]"


def _text(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case bytes():
            return value.hex()
        case datetime():
            return _instant(value)
        case date() | time():
            return value.isoformat()
        case _:
            return str(value)


def _instant(value: object) -> str:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    return f"{value}T00:00:00+00:00" if isinstance(value, date) else _text(value)


def _number(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value if not isinstance(value, int) or abs(value) <= _EXACT else float(value)


_TURNS: dict[str, Callable[[Any], object]] = {
    "VARCHAR": _text,
    "BLOB": _text,
    "HUGEINT": _text,
    DECIMAL: _text,
    "TIMESTAMPTZ": _instant,
    "DOUBLE": _number,
    "TIME": _text,
    "DATE": _text,
}


def plain(name: str) -> str:
    """A name as DuckDB compares them: without regard to large letters of ASCII alone."""
    return name.encode().lower().decode()
