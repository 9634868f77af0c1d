"""Database sessions, scopes and migrations."""

from ponant.store.appending import Appender
from ponant.store.database import Database
from ponant.store.scope import Scope, ScopeKind, in_scope, scoped, scoped_text
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
