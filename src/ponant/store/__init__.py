"""Database sessions, scopes and migrations."""

from ponant.store.database import Database
from ponant.store.scope import Scope, ScopeKind, in_scope, scoped, scoped_text
from ponant.store.tables import Base, UtcDateTime
from ponant.store.upserts import insert

__all__ = [
    "Base",
    "Database",
    "Scope",
    "ScopeKind",
    "UtcDateTime",
    "in_scope",
    "insert",
    "scoped",
    "scoped_text",
]
