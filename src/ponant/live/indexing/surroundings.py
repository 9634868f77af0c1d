"""What may be asked for beside a hit: its neighbours' text, and where the query's words stand."""

from collections import defaultdict
from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from ponant.kit.errors import BadRequest
from ponant.live.indexing import words
from ponant.live.port import Hit
from ponant.live.tables import PassageRow
from ponant.store import Scope, in_scope

_MOST = 5


def with_neighbours(
    session: Session, scope: Scope, hits: Sequence[Hit], positions: Sequence[int], count: int
) -> list[Hit]:
    """Hits with the text of the passages around them.

    Args:
        positions: each hit's among its document's passages.
        count: passages before, and as many after.

    Raises:
        BadRequest: more are asked for than are given.
    """
    if not 0 <= count <= _MOST:
        raise BadRequest(f"Neighbours must be from 0 to {_MOST}.", param="neighbours")
    if not hits or not count:
        return list(hits)
    near = [
        and_(
            PassageRow.document_id == hit.document_id,
            PassageRow.position.between(position - count, position + count),
        )
        for hit, position in zip(hits, positions, strict=True)
    ]
    statement = select(PassageRow.document_id, PassageRow.position, PassageRow.text).where(
        or_(*near), in_scope(PassageRow, scope)
    )
    texts: dict[str, dict[int, str]] = defaultdict(dict)
    for document_id, position, text in session.execute(statement):
        texts[document_id][position] = text
    return [
        msgspec.structs.replace(
            hit,
            before=_joined(texts[hit.document_id], range(position - count, position)),
            after=_joined(texts[hit.document_id], range(position + 1, position + count + 1)),
        )
        for hit, position in zip(hits, positions, strict=True)
    ]


def with_highlights(hits: Sequence[Hit], query: str, languages: Collection[str]) -> list[Hit]:
    """Hits with the places of the query's words, in any form that they take."""
    asked = words.question(query, languages)
    wanted = {form.removesuffix("*") for term in asked.terms for form in term}
    wanted |= {term for forms in asked.phrases for form in forms for term in form}
    return [
        msgspec.structs.replace(hit, highlights=words.places(hit.text, languages, wanted))
        for hit in hits
    ]


def _joined(texts: dict[int, str], positions: range) -> str:
    return "\n\n".join(texts[position] for position in positions if position in texts)
