"""Database sessions, scopes and migrations."""

from ponant.store.database import Database
from ponant.store.scope import Scope, ScopeKind, in_scope, scoped, scoped_text
from ponant.store.tables import Base, UtcDateTime

__all__ = [
    "Base",
    "Database",
    "Scope",
    "ScopeKind",
    "UtcDateTime",
    "in_scope",
    "scoped",
    "scoped_text",
]
