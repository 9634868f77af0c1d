"""Listens to the database driver and fails a test that touches a scoped table out of scope.

Every SELECT, UPDATE and DELETE must compare each scope column of each scoped table with the
parameter ``scope_<column>``, for each time the table stands in the statement; every INSERT must
write those columns. Only the text that reaches the driver counts, whatever made it.
"""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from ponant.store import Base, Scope, ScopeKind

_QUOTED = re.compile(r"'(?:[^']|'')*'")
_NO_ALIAS = (
    "as|cross|except|from|full|group|having|indexed|inner|intersect|join|left|limit|natural|not|on|"
    "order|outer|returning|right|select|set|union|using|values|where|window"
)
_NAME = r'"?\b(\w+)\b"?'
_ALIAS = rf"(?:\s+(?:as\s+)?(?!(?:{_NO_ALIAS})\b){_NAME})?"
_TABLE = re.compile(rf'(?:\b(?:from|join|update)\s+|,\s*){_NAME}(?!"?[.(]){_ALIAS}', re.IGNORECASE)
_INSERT = re.compile(rf"\binto\s+{_NAME}\s*(?:\(([^)]*)\))?", re.IGNORECASE)
_COMPARED = re.compile(
    r'(?:"?\b(\w+)\b"?\.)?"?\b(\w+)\b"?\s*=\s*(?::|%\()scope_(\w+)', re.IGNORECASE
)
_DATA = re.compile(r"\s*(?:select|insert|replace|update|delete|with)\b", re.IGNORECASE)


class OutOfScope(AssertionError):
    """A statement touched a scoped table without saying on whose behalf."""


@contextmanager
def guarding() -> Iterator[None]:
    """Hold every statement of this process to its scope while the block runs.

    Raises:
        OutOfScope: at the statement, and again at the end where something caught it.
    """
    faults: list[OutOfScope] = []

    def inspect(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        try:
            check(statement, parameters, scoped_columns())
        except OutOfScope as e:
            faults.append(e)
            raise

    event.listen(Engine, "before_cursor_execute", inspect)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", inspect)
    if faults:
        raise faults[0]


def scoped_columns() -> dict[str, tuple[str, ...]]:
    """The scope columns of each scoped table that is declared so far."""
    whole = Scope("organisation", "workspace", "person")
    found: dict[str, tuple[str, ...]] = {}
    for mapper in Base.registry.mappers:
        kind: ScopeKind = mapper.class_.__scope__
        names = (name.removeprefix("scope_") for name in whole.parameters(kind))
        if kind is not ScopeKind.PLATFORM:
            found[mapper.local_table.name] = tuple(names)
    return found


def check(statement: str, parameters: Any, columns: dict[str, tuple[str, ...]]) -> None:
    """Fail unless the statement keeps to its scope.

    Args:
        statement: as it reaches the driver, with named parameters.
        parameters: what they are bound to; a list of these for several executions.
        columns: the scope columns of each scoped table.
    """
    if not _DATA.match(statement):
        return
    text = _QUOTED.sub("''", statement)
    for table, written in _INSERT.findall(text):
        missing = set(columns.get(table.lower(), ())) - set(re.findall(r"\w+", written))
        if missing:
            raise OutOfScope(f"{table} is written without {sorted(missing)}: {statement}")
    compared, bound = _comparisons(text), _names(parameters)
    for match in _TABLE.finditer(_INSERT.sub("", text)):
        table, alias = match[1].lower(), (match[2] or match[1]).lower()
        for column in columns.get(table, ()):
            name = alias if compared[alias, column] else ""
            if not compared[name, column] or f"scope_{column}" not in bound:
                raise OutOfScope(f"{table} is read without scope_{column}: {statement}")
            compared[name, column] -= 1


def _comparisons(text: str) -> Counter[tuple[str, str]]:
    """How often each ``(alias, column)`` is compared with its own scope parameter."""
    found: Counter[tuple[str, str]] = Counter()
    for alias, column, parameter in _COMPARED.findall(text):
        if column.lower() == parameter.lower():
            found[alias.lower(), column.lower()] += 1
    return found


def _names(parameters: Any) -> set[str]:
    several = parameters if isinstance(parameters, list | tuple) else [parameters]
    return {name for one in several if isinstance(one, dict) for name in one}
