"""The keyword index as the first release laid it out; it answers until that was done anew."""

import re
from collections.abc import Collection

from sqlalchemy import (
    ColumnElement,
    bindparam,
    column,
    delete,
    literal_column,
    select,
    table,
)
from sqlalchemy.orm import Session

from ponant.live.indexing.languages import FUNCTION_WORDS
from ponant.live.indexing.words import spaced
from ponant.live.tables import DocumentRow, PassageRow
from ponant.store import Scope, in_scope

_TERM = re.compile(r"\w+")
_MOST_TERMS = 24
_WEIGHTS = "bm25(0.0, 1.0, 2.0, 1.0)"  # library, name, heading, text
_COMMON = frozenset().union(
    *(FUNCTION_WORDS[name] for name in ("english", "french", "german", "spanish", "italian"))
)
_TABLE = table("live_keywords", column("rowid"), column("rank"))


def search(
    session: Session,
    scope: Scope,
    library_id: str,
    query: str,
    conditions: Collection[ColumnElement[bool]],
    limit: int,
) -> list[tuple[int, float]]:
    """As `keywords.search`, over what is not laid out anew yet."""
    found = list(dict.fromkeys(_TERM.findall(spaced(query).lower())))
    telling = ([term for term in found if term not in _COMMON] or found)[:_MOST_TERMS]
    if not telling:
        return []
    words = " OR ".join(f'"{term}"' for term in telling)
    expression = f'library : ("{library_id}") AND {{name heading body}} : ({words})'
    statement = (
        select(_TABLE.c.rowid, _TABLE.c.rank)
        .select_from(_TABLE)
        .join(PassageRow, PassageRow.id == _TABLE.c.rowid)
        .join(DocumentRow, DocumentRow.id == PassageRow.document_id)
        .where(
            literal_column("live_keywords").op("MATCH")(bindparam("expression", expression)),
            _TABLE.c.rank.op("MATCH")(_WEIGHTS),
            PassageRow.library_id == library_id,
            in_scope(PassageRow, scope),
            in_scope(DocumentRow, scope),
            *conditions,
        )
        .order_by(_TABLE.c.rank)
        .limit(limit)
    )
    return [(row, -rank) for row, rank in session.execute(statement)]


def drop(session: Session, rows: Collection[int]) -> None:
    """Forget passages that are laid out anew."""
    for row in rows:
        session.execute(delete(_TABLE).where(_TABLE.c.rowid == row))
