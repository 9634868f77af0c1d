"""Terms in PostgreSQL's tsvector with a GIN index, weighed by BM25.

PostgreSQL's own ranks know nothing of how rare a word is. Here each term's rank, which flattens
with the term's frequency as BM25's does, counts by the term's rarity and the passage's length
(Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009). In how many passages a term
stands is kept by triggers, in the transaction of each change.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, TableClause, cast, column, func, literal, select, table, text
from sqlalchemy.dialects.postgresql import ARRAY, REAL, TSQUERY
from sqlalchemy.orm import Session

from ponant.live.indexing import access
from ponant.live.indexing.wanted import Hits, Laid, Place, Term, Wanted
from ponant.live.tables import DocumentRow, PassageRow

_WEIGHTS = [0.5, 0.5, 0.7, 0.5]  # of D (text), C (unused), B (heading), A (name)
_GAP = 8  # positions between name, heading and text, so that no phrase spans two of them
_SATURATION, _BY_LENGTH = 1.2, 0.75  # k1 and b of BM25
_RARE = 0.01  # the share of passages that a beginning is taken to stand in


def write(session: Session, slot: TableClause, key: str, laid: Sequence[Laid]) -> None:
    """As `TermTables.write`; a foreign key takes them out again."""
    statement = text(
        f"INSERT INTO {slot.name} (rowid, key, terms, length) "  # noqa: S608 - a name of ours
        "SELECT one.id, :key, CAST(one.terms AS TSVECTOR), one.length FROM unnest("
        "CAST(:rows AS BIGINT[]), CAST(:terms AS TEXT[]), CAST(:lengths AS INTEGER[])"
        ") AS one(id, terms, length)"
    )
    values = {
        "key": key,
        "rows": [one.row for one in laid],
        "terms": [_written(key, one) for one in laid],
        "lengths": [len(one.name) + len(one.heading) + len(one.body) for one in laid],
    }
    session.execute(statement, values)


def matching(
    session: Session,
    slot: TableClause,
    wanted: Wanted,
    place: Place,
    limit: int,
) -> Hits:
    """As `TermTables.matching`."""
    terms = table(slot.name, column("rowid"), column("terms"), column("length"))
    score = _score(terms, wanted).label("score")
    # In order before it is joined, so that what lies behind the limit is never joined.
    ranked = (
        select(terms.c.rowid, score)
        .where(terms.c.terms.op("@@")(_query(_expression(wanted))))
        .order_by(score.desc(), terms.c.rowid)
        .subquery("ranked")
    )
    statement = (
        select(ranked.c.rowid, ranked.c.score)
        .select_from(ranked)
        .join(PassageRow, PassageRow.id == ranked.c.rowid)
        .join(DocumentRow, DocumentRow.id == PassageRow.document_id)
        .where(*access.within_library(marked=bool(place.scope.marks)), *place.conditions)
        .order_by(ranked.c.score.desc(), ranked.c.rowid)
        .limit(limit)
    )
    asked = access.asked(place.scope, library_id=place.library_id)
    return [(row, float(weight)) for row, weight in session.execute(statement, asked)]


def _written(key: str, laid: Laid) -> str:
    """A passage in the notation of a tsvector: ``'7_boat':1A,12 '7_row':13``."""
    places: dict[str, list[str]] = defaultdict(list)
    at = 0
    for terms, mark in ((laid.name, "A"), (laid.heading, "B"), (laid.body, "")):
        for term in terms:
            at += 1
            places[term].append(f"{at}{mark}")
        at += _GAP
    return " ".join(f"{_quoted(key + term)}:{','.join(at)}" for term, at in places.items())


def _score(terms: TableClause, wanted: Wanted) -> ColumnElement[float]:
    weights = cast(_WEIGHTS, ARRAY(REAL))
    told: ColumnElement[float] = literal(0.0)
    for term in (*wanted.choosing, *wanted.weighing):
        rank = func.ts_rank(weights, terms.c.terms, _query(_any_form(wanted.key, term)))
        # The rank of several forms is their mean.
        told += len(term.forms) * _rarity(term, wanted.passages) * rank
    for form in {one for forms in wanted.phrases for terms_ in forms for one in terms_}:
        one = Term((form,), 1)
        told += func.ts_rank(weights, terms.c.terms, _query(_any_form(wanted.key, one)))
    mean = max(1.0, wanted.length / max(1, wanted.passages))
    long = _SATURATION * _BY_LENGTH / (1 + _SATURATION)
    return told / (1 - long + long * terms.c.length / mean)


def _rarity(term: Term, passages: int) -> float:
    """The inverse document frequency of BM25."""
    count = _RARE * passages if term.forms[0].endswith("*") else term.count
    return math.log(1 + (max(0.0, passages - count) + 0.5) / (count + 0.5))


def _expression(wanted: Wanted) -> str:
    if not wanted.phrases:
        return _or(_any_form(wanted.key, term) for term in wanted.choosing)
    return " & ".join(
        f"({_or(_phrase(wanted.key, form) for form in forms)})" for forms in wanted.phrases
    )


def _phrase(key: str, terms: Sequence[str]) -> str:
    return " <-> ".join(_quoted(key + term.removesuffix("*")) for term in terms)


def _any_form(key: str, term: Term) -> str:
    return _or(
        f"{_quoted(key + form[:-1])}:*" if form.endswith("*") else _quoted(key + form)
        for form in term.forms
    )


def _or(parts: Iterable[str]) -> str:
    return " | ".join(parts)


def _quoted(term: str) -> str:
    return "'" + term.replace("\\", "\\\\").replace("'", "''") + "'"


def _query(expression: str) -> ColumnElement[Any]:
    return cast(expression, TSQUERY)
