"""What the words of a passage weigh for a kept query, as the keyword index would weigh them.

BM25 with the index's own terms and counts (Robertson and Zaragoza, 2009). A passage's length is
held against a fixed one, so the weights compare with one another and not with the index's.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping

from sqlalchemy.orm import Session

from ponant.live.indexing import keywords, words
from ponant.live.tables import LibraryRow
from ponant.store import Scope

_SATURATION = 1.2
_SHARE_OF_LENGTH = 0.75
_USUAL_LENGTH = 120  # terms
_FOR_HEADING = 2

Saturations = dict[str, float]
"""By term of a passage, what it counts for, from 0 to a little over 2."""


def languages(session: Session, scope: Scope, library_id: str) -> tuple[str, ...]:
    """The languages that a library's passages are laid out in."""
    return tuple(keywords.languages(session, scope, [library_id]))


def saturations(name: str, heading: str, text: str, spoken: Collection[str]) -> Saturations:
    """What each term of a passage counts for, read in every language that it may be in."""
    found: Saturations = {}
    for language in spoken:
        counts: Counter[str] = Counter(words.terms(f"{name} {text}", language))
        for term in words.terms(heading, language):
            counts[term] += _FOR_HEADING
        length = _SHARE_OF_LENGTH * counts.total() / _USUAL_LENGTH
        held = _SATURATION * (1 - _SHARE_OF_LENGTH + length)
        for term, count in counts.items():
            value = count * (_SATURATION + 1) / (count + held)
            # A short question in an unspaced script asks for a beginning (`words.question`).
            for key in {term, f"{term[0]}*", f"{term[:2]}*"}:
                found[key] = max(value, found.get(key, 0.0))
    return found


def asked(session: Session, scope: Scope, library: LibraryRow, query: str) -> dict[str, float]:
    """The terms of a query and what they weigh: more, the fewer passages have them."""
    total = max(library.passages, 1)
    return {
        term: max(math.log(1 + (total - count + 0.5) / (count + 0.5)), 1e-3)
        for term, count in keywords.asked(session, scope, library, query).items()
    }


def weight(query: Mapping[str, float], passage: Mapping[str, float]) -> float:
    """What a passage weighs for a query."""
    return sum(value * passage[term] for term, value in query.items() if term in passage)
