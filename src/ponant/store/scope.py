"""Whose rows a statement may touch.

Every table declares its scope; `in_scope` (expressions), `scoped` (expressions of a statement that
is built once) and `scoped_text` (raw SQL) are the only ways to put it into a statement.

PLATFORM        rows of the installation itself
ORGANISATION    column ``organisation_id``
WORKSPACE       column ``workspace_id``
PERSON          columns ``workspace_id`` and ``person_id``
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

from sqlalchemy import ColumnElement, TextClause, and_, bindparam, text, true


class ScopeKind(StrEnum):
    """How far a table's rows reach."""

    PLATFORM = "platform"
    ORGANISATION = "organisation"
    WORKSPACE = "workspace"
    PERSON = "person"


class Scoped(Protocol):
    """A table that says how far its rows reach."""

    __scope__: ClassVar[ScopeKind]


_COLUMNS: dict[ScopeKind, tuple[str, ...]] = {
    ScopeKind.PLATFORM: (),
    ScopeKind.ORGANISATION: ("organisation_id",),
    ScopeKind.WORKSPACE: ("workspace_id",),
    ScopeKind.PERSON: ("workspace_id", "person_id"),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """On whose behalf a statement runs; an id that is None gives no access at that level.

    Attributes:
        marks: what access lists may call the person by, such as ``person:per_…``, ``email:…`` and
            ``group:…``; who has none reads only what everybody in the workspace may.
    """

    organisation_id: str | None = None
    workspace_id: str | None = None
    person_id: str | None = None
    marks: tuple[str, ...] = ()

    def parameters(self, kind: ScopeKind) -> dict[str, str]:
        """The columns that must match for a table of this kind, named ``scope_<column>``.

        Raises:
            LookupError: the scope does not reach tables of that kind.
        """
        values: dict[str, str] = {}
        for column in _COLUMNS[kind]:
            value = getattr(self, column)
            if value is None:
                raise LookupError(f"a {kind} table needs a scope with {column}")
            values[f"scope_{column}"] = value
        return values


def in_scope(table: type[Scoped], scope: Scope) -> ColumnElement[bool]:
    """The condition that keeps a statement over ``table`` inside ``scope``."""
    parameters = scope.parameters(table.__scope__)
    conditions = [
        getattr(table, name.removeprefix("scope_")) == bindparam(name, value)
        for name, value in parameters.items()
    ]
    return and_(true(), *conditions)


def scoped(table: type[Scoped]) -> ColumnElement[bool]:
    """As `in_scope`, for a statement that is built once: it runs with `Scope.parameters`."""
    conditions = [
        getattr(table, column) == bindparam(f"scope_{column}")
        for column in _COLUMNS[table.__scope__]
    ]
    return and_(true(), *conditions)


def scoped_text(sql: str, scope: Scope, kind: ScopeKind, alias: str = "") -> TextClause:
    """Raw SQL in which ``{scope}`` stands for the condition on the table named ``alias``.

    Args:
        sql: a statement with ``{scope}`` once for each scoped table of that kind.
        scope: on whose behalf it runs.
        kind: the table's declared kind.
        alias: table name or alias to qualify the columns with.

    Raises:
        ValueError: the statement has no ``{scope}``.
    """
    if "{scope}" not in sql:
        raise ValueError("raw SQL over a scoped table needs {scope}")
    parameters = scope.parameters(kind)
    qualifier = f"{alias}." if alias else ""
    conditions = [f"{qualifier}{name.removeprefix('scope_')} = :{name}" for name in parameters] or [
        "1 = 1"
    ]
    return text(sql.replace("{scope}", " AND ".join(conditions))).bindparams(**parameters)
