"""Terms in SQLite's FTS5, weighed by its BM25."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import (
    Insert,
    Integer,
    Select,
    TableClause,
    bindparam,
    func,
    insert,
    literal,
    literal_column,
    select,
)
from sqlalchemy.orm import Session

from ponant.live.indexing import access
from ponant.live.indexing.wanted import Hits, Laid, Place, Term, Wanted
from ponant.live.tables import DocumentRow, PassageRow

_WEIGHTS = "bm25(1.0, 2.0, 1.0)"  # name, heading, text


def write(session: Session, slot: TableClause, key: str, laid: Sequence[Laid]) -> None:
    """As `TermTables.write`; a trigger takes them out again."""
    rows = [
        {
            "rowid": one.row,
            "name": _written(key, one.name),
            "heading": _written(key, one.heading),
            "body": _written(key, one.body),
        }
        for one in laid
    ]
    session.connection().execute(_inserting(slot), rows)


@cache
def _inserting(slot: TableClause) -> Insert:
    return insert(slot)


def matching(
    session: Session,
    slot: TableClause,
    wanted: Wanted,
    place: Place,
    limit: int,
) -> Hits:
    """As `TermTables.matching`."""
    statement = _matching(slot, marked=bool(place.scope.marks))
    if place.conditions:
        statement = _as_one(_ranking(slot, marked=bool(place.scope.marks)).where(*place.conditions))
    asked = access.asked(place.scope, library_id=place.library_id)
    asked |= {"expression": _expression(wanted), "most": limit}
    found: str = session.connection().scalar(statement, asked) or "[]"
    return [(row, -rank) for row, rank in msgspec.json.decode(found)]


@cache
def _matching(slot: TableClause, *, marked: bool) -> Select[Any]:
    """Built once, since building it takes longer than running it over thousands of passages."""
    return _as_one(_ranking(slot, marked=marked))


def _as_one(ranking: Select[Any]) -> Select[Any]:
    """What is found, as one row of JSON: each row waits its turn beside threads that compute."""
    found = ranking.subquery()
    return select(func.json_group_array(func.json_array(found.c.rowid, found.c.rank)))


def _ranking(slot: TableClause, *, marked: bool) -> Select[Any]:
    return (
        select(slot.c.rowid, slot.c.rank)
        .select_from(slot)
        .join(PassageRow, PassageRow.id == slot.c.rowid)
        .join(DocumentRow, DocumentRow.id == PassageRow.document_id)
        .where(
            literal_column(slot.name).op("MATCH")(bindparam("expression")),
            slot.c.rank.op("MATCH")(literal(_WEIGHTS)),
            *access.within_library(marked=marked),
        )
        # The index itself yields in this order, so what lies behind the limit is never joined.
        .order_by(slot.c.rank)
        .limit(bindparam("most", type_=Integer))
    )


def _written(key: str, terms: Sequence[str]) -> str:
    return " ".join([key + term for term in terms])


def _expression(wanted: Wanted) -> str:
    """What FTS5 is asked; terms that choose stand twice in it, and so weigh twice.

    FTS5 weighs all that it filters by. To have each term weigh once takes longer and finds hardly
    more (docs/decisions/0014-search-in-one-transaction.md).
    """
    key = wanted.key
    quoted = [
        "(" + " OR ".join(_phrase(key, form) for form in forms) + ")" for forms in wanted.phrases
    ]
    choosing = [_any_form(key, term) for term in wanted.choosing]
    weighing = [_any_form(key, term) for term in wanted.weighing]
    if quoted:
        every = " AND ".join(quoted)
        return f"{every} AND ({' OR '.join([*quoted, *weighing])})" if weighing else every
    chosen = " OR ".join(choosing)
    return f"({chosen}) AND ({' OR '.join([*choosing, *weighing])})" if weighing else chosen


def _phrase(key: str, terms: Sequence[str]) -> str:
    return '"' + " ".join(key + term.removesuffix("*") for term in terms) + '"'


def _any_form(key: str, term: Term) -> str:
    if term.forms[0].endswith("*"):
        return f'"{key}{term.forms[0][:-1]}"*'
    quoted = " OR ".join(f'"{key}{form}"' for form in term.forms)
    return quoted if len(term.forms) == 1 else f"({quoted})"
