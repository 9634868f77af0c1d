"""Database sessions, scopes and migrations.

What needs the database is imported when it is first used: processes that only say on whose behalf
they ask start without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ponant.store.scope import Scope, ScopeKind

if TYPE_CHECKING:
    from ponant.store.appending import Appender
    from ponant.store.database import Database
    from ponant.store.scoping import in_scope, scoped, scoped_text
    from ponant.store.tables import Base, UtcDateTime
    from ponant.store.upserts import insert, insert_into

__all__ = [
    "Appender",
    "Base",
    "Database",
    "Scope",
    "ScopeKind",
    "UtcDateTime",
    "in_scope",
    "insert",
    "insert_into",
    "scoped",
    "scoped_text",
]

_ELSEWHERE = {
    "Appender": "ponant.store.appending",
    "Base": "ponant.store.tables",
    "Database": "ponant.store.database",
    "UtcDateTime": "ponant.store.tables",
    "in_scope": "ponant.store.scoping",
    "insert": "ponant.store.upserts",
    "insert_into": "ponant.store.upserts",
    "scoped": "ponant.store.scoping",
    "scoped_text": "ponant.store.scoping",
}


def __getattr__(name: str) -> Any:
    if name not in _ELSEWHERE:
        raise AttributeError(f"ponant.store has no {name}")
    return getattr(import_module(_ELSEWHERE[name]), name)
