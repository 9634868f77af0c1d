"""What the words of new passages weigh for kept queries, in the numbers of the keyword index.

BM25 (Robertson and Zaragoza, 2009) as SQLite's FTS5 computes it: a passage's weight for a query is
the sum, over the query's terms, of how telling the term is and how full of it the passage is. Here
the two halves are computed on their own, so that one passage is weighed for every query at once.
Where another database ranks the words, its weights are not computed: a passage that has a word of a
query is then a candidate.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select, text
from sqlalchemy.orm import Session

from ponant.live.indexing import keywords, words
from ponant.live.indexing.languages import DEFAULT
from ponant.live.repository import batches
from ponant.live.tables import DocumentRow, LibraryRow, PassageRow
from ponant.store import Scope, in_scope

_TABLE = f"live_terms_{'ab'[words.GENERATION % 2]}"
_SATURATION = 1.2
_SHARE_OF_LENGTH = 0.75
_FOR_HEADING = 2
_LEAST = 1e-6  # of a term that most passages have
_BEGINNINGS = 2  # characters; a short question in an unspaced script asks for such

Fullness = dict[str, float]
"""By term of a passage, how full of it the passage is: from 0 to 2.2."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A query's terms.

    Attributes:
        weights: how telling each is.
        comparable: whether a passage's weight tells its place. Of words that must stand side by
            side it does not.
    """

    weights: Mapping[str, float]
    comparable: bool


def asked(session: Session, scope: Scope, library: LibraryRow, query: str) -> Asked:
    """What a query asks a library for; function words and words of most passages are left out."""
    counts = keywords.asked(session, scope, library, query)
    if not _is_fts5(session):
        return Asked(dict.fromkeys(counts, 1.0), comparable=False)
    total, _ = _size(session)
    choosing = sum(counts.values()) > keywords.MOST_POSTINGS
    weights: dict[str, float] = {}
    before = 0
    for term, count in sorted(counts.items(), key=lambda one: one[1]):
        # Where words are too frequent to look at all, the index weighs the rarest ones twice.
        times = 2 if choosing and before <= keywords.MOST_POSTINGS else 1
        weights[term] = times * _telling(total, count)
        before += count
    return Asked(weights, comparable=not words.question(query, (DEFAULT,)).phrases)


def fullness(
    session: Session, scope: Scope, library_id: str, passages: Sequence[PassageRow]
) -> dict[int, Fullness]:
    """How full of its terms each passage of a library is, by row; those that went are left out."""
    if not _is_fts5(session):
        spoken = keywords.languages(session, scope, [library_id])
        names = _names(session, scope, {row.document_id for row in passages})
        return {row.id: _held(names.get(row.document_id, ""), row, spoken) for row in passages}
    _, usual = _size(session)
    found: dict[int, Fullness] = {}
    statement = text(f"SELECT rowid, name, heading, body FROM {_TABLE} WHERE rowid IN :rows")  # noqa: S608 - our own name
    for some in batches([row.id for row in passages]):
        bound = statement.bindparams(bindparam("rows", expanding=True))
        for row, name, heading, body in session.execute(bound, {"rows": list(some)}):
            found[row] = _full(name.split() + body.split(), heading.split(), usual)
    return found


def _is_fts5(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"


def _names(session: Session, scope: Scope, documents: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for some in batches(sorted(documents)):
        statement = select(DocumentRow.id, DocumentRow.name).where(
            DocumentRow.id.in_(some), in_scope(DocumentRow, scope)
        )
        found.update((row.id, row.name) for row in session.execute(statement))
    return found


def _held(name: str, row: PassageRow, spoken: Sequence[str]) -> Fullness:
    """Every term of a passage, each as full as any."""
    said = f"{name} {row.heading} {row.text}"
    terms = {term for language in spoken for term in words.terms(said, language)}
    beginnings = {f"{term[:size]}*" for term in terms for size in range(1, _BEGINNINGS + 1)}
    return dict.fromkeys(terms | beginnings, 1.0)


def _full(plain: Sequence[str], heading: Sequence[str], usual: float) -> Fullness:
    counts = Counter(map(_bare, plain))
    for term in heading:
        counts[_bare(term)] += _FOR_HEADING
    for term, count in list(counts.items()):
        if not term.isascii():
            for size in range(1, _BEGINNINGS + 1):
                counts[f"{term[:size]}*"] += count
    length = _SHARE_OF_LENGTH * (len(plain) + len(heading)) / usual
    held = _SATURATION * (1 - _SHARE_OF_LENGTH + length)
    return {term: n * (_SATURATION + 1) / (n + held) for term, n in counts.items()}


def _bare(term: str) -> str:
    """A term without its library's key."""
    return term.split("_", 1)[-1]


def _telling(total: int, count: int) -> float:
    return max(math.log((total - count + 0.5) / (count + 0.5)), _LEAST) if total > count else _LEAST


def _size(session: Session) -> tuple[int, float]:
    """How many passages the index holds, and of how many terms one is usually."""
    block = session.scalar(text(f"SELECT block FROM {_TABLE}_data WHERE id = 1"))  # noqa: S608
    total, *terms = _numbers(block or b"") or [0]
    return total, max(sum(terms) / total, 1.0) if total else 1.0


def _numbers(block: bytes) -> list[int]:
    """The numbers of FTS5's averages record, in SQLite's form (seven bits a byte)."""
    found: list[int] = []
    value = 0
    for byte in block:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:  # the last byte of a number
            found.append(value)
            value = 0
    return found
