"""INSERT with ON CONFLICT, which SQLite and PostgreSQL have alike and SQL itself has not."""

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session


def insert(session: Session, table: Any) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that may be told what to do where the row is there already."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
