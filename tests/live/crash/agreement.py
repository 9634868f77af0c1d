"""Whether what is stored agrees: with itself, and with the folder it came from."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg


def disagreements(home: Path, *, address: str = "", complete: bool = False) -> list[str]:
    """What does not agree within live.db; empty where all is well.

    Args:
        address: of a PostgreSQL database in place of live.db.
        complete: every passage must have its vector, too.
    """
    wanted = {**_WRONG, "passages without a vector": _LACKING} if complete else _WRONG
    with _reading(home, address) as database:
        wrong = [
            f"{count} {what}"
            for what, sql in wanted.items()
            if (count := database.execute(sql).fetchone()[0])
        ]
        if address:
            return wrong + _not_near(database)
        (whole,) = database.execute("PRAGMA integrity_check").fetchone()
    return wrong if whole == "ok" else [*wrong, whole]


def _not_near(database: sqlite3.Connection | psycopg.Connection) -> list[str]:
    """Whether pgvector has the vector of each passage that is embedded, where it compares them."""
    if database.execute("SELECT to_regclass('live_near')").fetchone() == (None,):
        return []
    (count,) = database.execute(_NEAR).fetchone() or (0,)
    return [f"{count} passages that pgvector lacks"] if count else []


def stored(home: Path, address: str = "") -> Counter[tuple[str, str]]:
    """Path and text of every document that stands in live.db."""
    with _reading(home, address) as database:
        return Counter(database.execute("SELECT path, text FROM live_documents").fetchall())


@contextmanager
def _reading(home: Path, address: str) -> Iterator[sqlite3.Connection | psycopg.Connection]:
    """Beside the store, which would want to know on whose behalf."""
    if address:
        with psycopg.connect(address) as connection:
            yield connection
    else:
        with closing(sqlite3.connect(f"file:{home / 'live.db'}?mode=ro", uri=True)) as database:
            yield database


def lying(folder: Path) -> Counter[tuple[str, str]]:
    """The same of every file of a folder."""
    return Counter(
        (path.relative_to(folder).as_posix(), path.read_text())
        for path in folder.rglob("*")
        if path.is_file()
    )


_NEAR = (
    "SELECT count(*) FROM live_passages p WHERE embedded_by IS NOT NULL "
    "AND id NOT IN (SELECT passage FROM live_near)"
)
_WRONG = {
    "passages that do not stand in their document": (
        "SELECT count(*) FROM live_passages p JOIN live_documents d ON d.id = p.document_id "
        'WHERE substr(d.text, p.start + 1, p."end" - p.start) != p.text'
    ),
    "passages without a document": (
        "SELECT count(*) FROM live_passages "
        "WHERE document_id NOT IN (SELECT id FROM live_documents)"
    ),
    "documents without a passage": (
        "SELECT count(*) FROM live_documents WHERE state = 'indexed' "
        "AND id NOT IN (SELECT document_id FROM live_passages)"
    ),
    "passages without keywords": (
        "SELECT count(*) FROM live_passages WHERE id NOT IN (SELECT rowid FROM live_terms_a "
        "UNION SELECT rowid FROM live_terms_b)"
    ),
    "keywords without a passage": (
        "SELECT count(*) FROM (SELECT rowid FROM live_terms_a UNION "
        "SELECT rowid FROM live_terms_b) AS there WHERE rowid NOT IN (SELECT id FROM live_passages)"
    ),
    "passages whose vector is missing": (
        "SELECT count(*) FROM live_passages p WHERE embedded_by IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM live_vectors v WHERE v.input_hash = p.input_hash)"
    ),
    "vectors that nothing remembers": (
        "SELECT count(*) FROM live_vectors v "
        "WHERE v.input_hash NOT IN (SELECT input_hash FROM live_passages) "
        "AND v.input_hash NOT IN (SELECT input_hash FROM live_spare)"
    ),
}
_LACKING = "SELECT count(*) FROM live_passages WHERE embedded_by IS NULL"
