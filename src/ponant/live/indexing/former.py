"""The keyword index as the first release laid it out; it answers until that was done anew."""

import re
from collections.abc import Collection

from sqlalchemy import bindparam, column, delete, literal_column, select, table
from sqlalchemy.orm import Session

from ponant.live.indexing import access
from ponant.live.indexing.languages import FUNCTION_WORDS
from ponant.live.indexing.wanted import Hits, Place
from ponant.live.indexing.words import spaced
from ponant.live.tables import DocumentRow, PassageRow

_TERM = re.compile(r"\w+")
_MOST_TERMS = 24
_WEIGHTS = "bm25(0.0, 1.0, 2.0, 1.0)"  # library, name, heading, text
_COMMON = frozenset().union(
    *(FUNCTION_WORDS[name] for name in ("english", "french", "german", "spanish", "italian"))
)
_TABLE = table("live_keywords", column("rowid"), column("rank"))


def search(session: Session, place: Place, query: str, limit: int) -> Hits:
    """As `keywords.search`, over what is not laid out anew yet."""
    found = list(dict.fromkeys(_TERM.findall(spaced(query).lower())))
    telling = ([term for term in found if term not in _COMMON] or found)[:_MOST_TERMS]
    if not telling:
        return []
    words = " OR ".join(f'"{term}"' for term in telling)
    expression = f'library : ("{place.library_id}") AND {{name heading body}} : ({words})'
    statement = (
        select(_TABLE.c.rowid, _TABLE.c.rank)
        .select_from(_TABLE)
        .join(PassageRow, PassageRow.id == _TABLE.c.rowid)
        .join(DocumentRow, DocumentRow.id == PassageRow.document_id)
        .where(
            literal_column("live_keywords").op("MATCH")(bindparam("expression", expression)),
            _TABLE.c.rank.op("MATCH")(_WEIGHTS),
            *access.within_library(marked=bool(place.scope.marks)),
            *place.conditions,
        )
        .order_by(_TABLE.c.rank)
        .limit(limit)
    )
    asked = access.asked(place.scope, library_id=place.library_id)
    return [(row, -rank) for row, rank in session.execute(statement, asked)]


def drop(session: Session, rows: Collection[int]) -> None:
    """Forget passages that are laid out anew."""
    for row in rows:
        session.execute(delete(_TABLE).where(_TABLE.c.rowid == row))
