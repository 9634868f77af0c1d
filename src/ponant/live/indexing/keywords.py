"""The keyword index: FTS5 tables in live.db, written in the transaction of each change.

Every term stands behind its library's key (``7_refund``), so that a library's words are counted
and read on their own. A query costs a bounded time however often its words occur: its rarest
words choose the candidates, others only weigh them (after the idea of MaxScore, Turtle and Flood,
IP&M 1995), and words that stand in a large share of the passages are left out unless quoted.

Libraries laid out by an older way of making terms answer from their old table until
`indexing.relaying` has laid them out anew.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    TableClause,
    bindparam,
    column,
    delete,
    insert,
    literal_column,
    select,
    table,
    update,
)
from sqlalchemy.orm import Session

from ponant.live.indexing import former, words
from ponant.live.indexing.languages import DEFAULT
from ponant.live.indexing.words import GENERATION, Question
from ponant.live.tables import DocumentRow, LibraryRow, PassageRow, PlaceRow, WordsRow
from ponant.store import Scope, in_scope

MOST_POSTINGS = 6_000  # entries that the rarest words may bring as candidates
_MOST_WEIGHED = 40_000  # entries of words that only weigh
_LARGE_SHARE = 0.2  # of the passages; a word that stands in more says little
ALWAYS_READ = 500  # so few entries are never too many
_WEIGHTS = "bm25(1.0, 2.0, 1.0)"  # name, heading, text


@dataclass(frozen=True, slots=True)
class Wording:
    """How a library's text was laid out."""

    number: int
    generation: int
    languages: tuple[str, ...]

    @property
    def key(self) -> str:
        return f"{self.number}_"


def wording(session: Session, scope: Scope, library_id: str) -> Wording:
    """How a library's text is laid out; noted at the first time, with the present generation."""
    if (found := _wording(session, scope, library_id)) is not None:
        return found
    row = WordsRow(
        workspace_id=scope.workspace_id,
        library_id=library_id,
        generation=_first_generation(session, library_id),
        languages=[],
    )
    session.add(row)
    session.flush()
    return Wording(row.number, row.generation, ())


def write(
    session: Session,
    scope: Scope,
    library_id: str,
    name: str,
    language: str,
    passages: Sequence[PassageRow],
) -> None:
    """Put passages of a document into the index; a trigger takes them out again."""
    if not passages:
        return
    known = wording(session, scope, library_id)
    if language not in known.languages:
        _set(session, scope, library_id, languages=[*known.languages, language])
    key = known.key
    named = words.laid_out(name, language, key)
    rows = [
        {
            "rowid": passage.id,
            "name": named,
            "heading": words.laid_out(passage.heading, language, key),
            "body": words.laid_out(passage.text, language, key),
        }
        for passage in passages
    ]
    session.execute(insert(_slot(GENERATION)), rows)


def drop(session: Session, rows: Collection[int]) -> None:
    """Take passages out before they are put in anew."""
    for slot in (_slot(GENERATION), _slot(GENERATION + 1)):
        for row in rows:
            session.execute(delete(slot).where(slot.c.rowid == row))


def search(
    session: Session,
    scope: Scope,
    library: LibraryRow,
    query: str,
    conditions: Collection[ColumnElement[bool]],
    limit: int,
) -> list[tuple[int, float]]:
    """Passage rows and their weight, the best first.

    Args:
        conditions: on `DocumentRow`, joined to the passages.
    """
    known = _wording(session, scope, library.id) or _unwritten(session, library.id)
    asked = words.question(query, known.languages)
    found: list[tuple[int, float]] = []
    for generation in {GENERATION, known.generation} - {0}:
        slot = _slot(generation)
        expression = _expression(session, slot, known.key, asked, library.passages)
        if expression is not None:
            found += _matching(session, scope, library.id, slot, expression, conditions, limit)
    if known.generation == 0:
        found += former.search(session, scope, library.id, query, conditions, limit)
    return sorted(found, key=lambda one: (-one[1], one[0]))[:limit]


def languages(session: Session, scope: Scope, library_ids: Sequence[str]) -> list[str]:
    """The languages that the documents of some libraries are in."""
    known = [_wording(session, scope, library_id) for library_id in library_ids]
    found = dict.fromkeys(one for wording in known if wording for one in wording.languages)
    return list(found) or [DEFAULT]


def asked(session: Session, scope: Scope, library: LibraryRow, query: str) -> dict[str, int]:
    """The terms that a search for ``query`` weighs, and in how many passages each stands.

    A term that is asked for as a beginning ends in ``*``. A word that stands in a large share of
    the passages is left out, as in a search.
    """
    known = _wording(session, scope, library.id) or _unwritten(session, library.id)
    question = words.question(query, known.languages)
    forms = [form for term in question.terms for form in term]
    forms += [form for phrase in question.phrases for term in phrase for form in term]
    counts = _counts(session, _slot(GENERATION), known.key, forms)
    large = max(ALWAYS_READ, _LARGE_SHARE * library.passages)
    small = {form: counts.get(form, 0) for form in forms if counts.get(form, 0) <= large}
    return small or {form: counts.get(form, 0) for form in forms}


def is_current(session: Session, scope: Scope, library_id: str) -> bool:
    """Whether all of a library is laid out the present way."""
    known = _wording(session, scope, library_id) or _unwritten(session, library_id)
    return known.generation == GENERATION


def set_current(session: Session, scope: Scope, library_id: str) -> None:
    """Note that all of a library is laid out the present way."""
    wording(session, scope, library_id)
    _set(session, scope, library_id, generation=GENERATION)


def _matching(
    session: Session,
    scope: Scope,
    library_id: str,
    slot: TableClause,
    expression: str,
    conditions: Collection[ColumnElement[bool]],
    limit: int,
) -> list[tuple[int, float]]:
    statement = (
        select(slot.c.rowid, slot.c.rank)
        .select_from(slot)
        .join(PassageRow, PassageRow.id == slot.c.rowid)
        .join(DocumentRow, DocumentRow.id == PassageRow.document_id)
        .where(
            literal_column(slot.name).op("MATCH")(bindparam("expression", expression)),
            slot.c.rank.op("MATCH")(_WEIGHTS),
            PassageRow.library_id == library_id,
            in_scope(PassageRow, scope),
            in_scope(DocumentRow, scope),
            *conditions,
        )
        # The index itself yields in this order, so what lies behind the limit is never joined.
        .order_by(slot.c.rank)
        .limit(limit)
    )
    return [(row, -rank) for row, rank in session.execute(statement)]


def _slot(generation: int) -> TableClause:
    """The table of a generation; the next one is laid out in the other."""
    name = ("live_terms_a", "live_terms_b")[generation % 2]
    return table(name, *map(column, ("rowid", "rank", "name", "heading", "body")))


def _expression(
    session: Session, slot: TableClause, key: str, asked: Question, passages: int
) -> str | None:
    """What FTS5 is to match; None where there is nothing to look for."""
    quoted = [
        "(" + " OR ".join(_phrase(key, form) for form in forms) + ")" for forms in asked.phrases
    ]
    counted = _counted(session, slot, key, asked.terms)
    kept = [(term, count) for term, count in counted if count]
    small = [one for one in kept if one[1] <= max(ALWAYS_READ, _LARGE_SHARE * passages)]
    told = sorted(small or kept[:1], key=lambda one: one[1])
    if quoted:
        weighing = [term for term, _ in told]
        return " AND ".join(quoted) + (
            f" AND ({' OR '.join([*quoted, *weighing])})" if weighing else ""
        )
    if not told:
        return None
    choosing = _within(told, MOST_POSTINGS)
    weighing = _within(told[len(choosing) :], _MOST_WEIGHED, at_least=0)
    chosen = " OR ".join(choosing)
    return f"({chosen}) AND ({' OR '.join([*choosing, *weighing])})" if weighing else chosen


def _within(told: Sequence[tuple[str, int]], most: int, at_least: int = 1) -> list[str]:
    """The first terms, as long as they occur no more than ``most`` times together."""
    found: list[str] = []
    total = 0
    for term, count in told:
        total += count
        if len(found) >= at_least and total > most:
            break
        found.append(term)
    return found


def _phrase(key: str, terms: Sequence[str]) -> str:
    return '"' + " ".join(key + term.removesuffix("*") for term in terms) + '"'


def _counted(
    session: Session, slot: TableClause, key: str, terms: Sequence[tuple[str, ...]]
) -> list[tuple[str, int]]:
    """Each term as FTS5 writes it, and in how many passages it stands, the rarest first."""
    counts = _counts(session, slot, key, [form for term in terms for form in term])
    found: list[tuple[str, int]] = []
    for term in terms:
        if term[0].endswith("*"):
            found.append((f'"{key}{term[0][:-1]}"*', 1))
        else:
            quoted = " OR ".join(f'"{key}{form}"' for form in term)
            count = sum(counts.get(form, 0) for form in term)
            found.append((quoted if len(term) == 1 else f"({quoted})", count))
    return sorted(found, key=lambda one: one[1])


def _counts(
    session: Session, slot: TableClause, key: str, forms: Collection[str]
) -> dict[str, int]:
    """In how many passages each whole term stands; those that stand in none are left out."""
    written = [key + form for form in forms if not form.endswith("*")]
    vocabulary = table(f"{slot.name}_words", column("term"), column("doc"))
    statement = select(vocabulary.c.term, vocabulary.c.doc).where(vocabulary.c.term.in_(written))
    return {row.term.removeprefix(key): row.doc for row in session.execute(statement)}


def _unwritten(session: Session, library_id: str) -> Wording:
    """A library into which nothing was written since the index has its present form."""
    return Wording(0, _first_generation(session, library_id), ())


def _first_generation(session: Session, library_id: str) -> int:
    found = select(PlaceRow.generation).where(PlaceRow.library_id == library_id)
    return session.scalar(found) or 0


def _wording(session: Session, scope: Scope, library_id: str) -> Wording | None:
    statement = select(WordsRow.number, WordsRow.generation, WordsRow.languages).where(
        WordsRow.library_id == library_id, in_scope(WordsRow, scope)
    )
    found = session.execute(statement).first()
    return None if found is None else Wording(found[0], found[1], tuple(found[2]))


def _set(session: Session, scope: Scope, library_id: str, **values: object) -> None:
    session.execute(
        update(WordsRow)
        .where(WordsRow.library_id == library_id, in_scope(WordsRow, scope))
        .values(**values)
        .execution_options(synchronize_session=False)
    )
