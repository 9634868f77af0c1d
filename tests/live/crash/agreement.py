"""Whether what is stored agrees: with itself, and with the folder it came from."""

import sqlite3
from collections import Counter
from pathlib import Path


def disagreements(home: Path, *, complete: bool = False) -> list[str]:
    """What does not agree within live.db; empty where all is well.

    Args:
        complete: every passage must have its vector, too.
    """
    with sqlite3.connect(f"file:{home / 'live.db'}?mode=ro", uri=True) as database:
        wrong = [
            f"{count} {what}"
            for what, sql in _WRONG.items()
            if (count := database.execute(sql).fetchone()[0])
        ]
        if complete and (count := database.execute(_LACKING).fetchone()[0]):
            wrong.append(f"{count} passages without a vector")
        (whole,) = database.execute("PRAGMA integrity_check").fetchone()
    return wrong if whole == "ok" else [*wrong, whole]


def stored(home: Path) -> Counter[tuple[str, str]]:
    """Path and text of every document that stands in live.db."""
    with sqlite3.connect(f"file:{home / 'live.db'}?mode=ro", uri=True) as database:
        return Counter(database.execute("SELECT path, text FROM live_documents").fetchall())


def lying(folder: Path) -> Counter[tuple[str, str]]:
    """The same of every file of a folder."""
    return Counter(
        (path.relative_to(folder).as_posix(), path.read_text())
        for path in folder.rglob("*")
        if path.is_file()
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
        "SELECT rowid FROM live_terms_b) WHERE rowid NOT IN (SELECT id FROM live_passages)"
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
