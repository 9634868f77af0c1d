"""Databases of a test's own, of each kind that an installation may have."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ponant.store import Database
from tests.servers import postgres

KINDS = ("sqlite", "postgres")
KINDS_OF_VECTORS = (*KINDS, "pgvector")
"""Where it matters what compares vectors: a server's databases with that extension, too."""


@contextmanager
def opened(kind: str, path: Path, schema: str | None = "ponant") -> Iterator[Database]:
    """A database until the end of the block.

    Args:
        kind: one of those above.
        path: where SQLite's file lies.
        schema: whose tables it has; None makes none.
    """
    if kind == "sqlite":
        database = Database.at(path)
        if schema is not None:
            database.migrate(schema)
    else:
        database = Database(postgres.shared(kind).fresh(schema), schema or "ponant")
    try:
        yield database
    finally:
        database.close()


def address(database: Database) -> str:
    """What another process opens the same database by."""
    url = database.engine.url
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=False)
