"""INSERT with ON CONFLICT, which SQLite and PostgreSQL have alike and SQL itself has not."""

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql


def insert(session: Session, table: Any) -> "sqlite.Insert | postgresql.Insert":
    """An INSERT that may be told what to do where the row is there already."""
    return insert_into(session.get_bind().dialect.name, table)


def insert_into(dialect: str, table: Any) -> "sqlite.Insert | postgresql.Insert":
    """As `insert`, for a statement that is built once for each kind of database."""
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - takes a while, for few homes

        return postgresql.insert(table)
    return sqlite.insert(table)
