"""The conditions that keep statements inside a scope.

`in_scope` (expressions), `scoped` (expressions of a statement that is built once) and `scoped_text`
(raw SQL) are the only ways to put a scope into a statement.
"""

from sqlalchemy import ColumnElement, TextClause, and_, bindparam, text, true

from ponant.store.scope import COLUMNS, Scope, Scoped, ScopeKind


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
        for column in COLUMNS[table.__scope__]
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
