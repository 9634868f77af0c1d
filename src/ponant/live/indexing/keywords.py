"""The keyword index: tables in live.db, written in the transaction of each change.

Which words choose and which weigh is said here, and how a database does it in `indexing.fts5`
(SQLite) and `indexing.tsvector` (PostgreSQL).

Every term stands behind its library's key (``7_refund``), so that a library's words are counted
and read on their own. A query costs a bounded time however often its words occur: its rarest
words choose the candidates, others only weigh them (after the idea of MaxScore, Turtle and Flood,
IP&M 1995), and words that stand in a large share of the passages are left out unless quoted.

Libraries laid out by an older way of making terms answer from their old table until
`indexing.relaying` has laid them out anew.
"""

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    TableClause,
    bindparam,
    column,
    delete,
    select,
    table,
    update,
)
from sqlalchemy.orm import Session

from ponant.live.indexing import former, fts5, words
from ponant.live.indexing.languages import DEFAULT
from ponant.live.indexing.wanted import Hits, Laid, Place, Term, TermTables, Wanted
from ponant.live.indexing.words import GENERATION, Question
from ponant.live.repository import LibraryState
from ponant.live.tables import LibraryRow, PassageRow, PlaceRow, WordsRow
from ponant.store import Scope, ScopeKind, in_scope, scoped

MOST_POSTINGS = 6_000  # entries that the rarest words may bring as candidates
_MOST_WEIGHED = 40_000  # entries of words that only weigh
_LARGE_SHARE = 0.2  # of the passages; a word that stands in more says little
ALWAYS_READ = 500  # so few entries are never too many
_COMMON = 20_000  # entries, from which on their number is remembered: to count them takes 0.5 ms
_REMEMBERED_SECONDS = 60.0
_REMEMBERED_SHARE = 0.1  # of the passages; where more came or went, it is counted again
_MOST_REMEMBERED = 4096  # words

_Counts = dict[str, tuple[int, int, float]]
"""By term, in how many of how many passages it stands, and until when that is near enough."""

_remembered: WeakKeyDictionary[Engine | Connection, _Counts] = WeakKeyDictionary()

_WORDING = select(WordsRow.number, WordsRow.generation, WordsRow.languages).where(
    WordsRow.library_id == bindparam("library_id"), scoped(WordsRow)
)


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
    named = list(words.terms(name, language))
    laid = [
        Laid(
            row=passage.id,
            name=named,
            heading=list(words.terms(passage.heading, language)),
            body=list(words.terms(passage.text, language)),
        )
        for passage in passages
    ]
    _kept_by(session).write(session, _slot(GENERATION), known.key, laid)


def drop(session: Session, rows: Collection[int]) -> None:
    """Take passages out before they are put in anew."""
    for slot in (_slot(GENERATION), _slot(GENERATION + 1)):
        for row in rows:
            session.execute(delete(slot).where(slot.c.rowid == row))


def search(
    session: Session,
    scope: Scope,
    library: LibraryRow | LibraryState,
    query: str,
    conditions: Collection[ColumnElement[bool]],
    limit: int,
) -> Hits:
    """Rows of passages that the caller may read, and their weight, the best first.

    Args:
        conditions: on `DocumentRow`, joined to the passages.
    """
    known = _wording(session, scope, library.id) or _unwritten(session, library.id)
    asked = words.question(query, known.languages)
    place = Place(scope, library.id, conditions)
    found: Hits = []
    for generation in {GENERATION, known.generation} - {0}:
        slot = _slot(generation)
        wanted = _wanted(session, slot, known.key, asked, library.passages)
        if wanted is not None:
            found += _kept_by(session).matching(session, slot, wanted, place, limit)
    if known.generation == 0:
        found += former.search(session, place, query, limit)
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
    counts = _counts(session, _slot(GENERATION), known.key, forms, library.passages)
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


def _kept_by(session: Session) -> TermTables:
    if session.get_bind().dialect.name != "postgresql":
        return fts5
    from ponant.live.indexing import tsvector  # noqa: PLC0415 - its dialect takes a while to import

    return tsvector


@cache
def _slot(generation: int) -> TableClause:
    """The table of a generation; the next one is laid out in the other."""
    name = ("live_terms_a", "live_terms_b")[generation % 2]
    return table(name, *map(column, ("rowid", "rank", "name", "heading", "body")))


def _wanted(
    session: Session, slot: TableClause, key: str, asked: Question, passages: int
) -> Wanted | None:
    """What to look for; None where there is nothing."""
    forms = ["", *(form for term in asked.terms for form in term)]
    counts = _counts(session, slot, key, forms, passages)
    length = counts.pop("", 0)
    kept = [term for term in _counted(asked.terms, counts) if term.count]
    large = max(ALWAYS_READ, _LARGE_SHARE * passages)
    told = [term for term in kept if term.count <= large] or kept[:1]
    if asked.phrases:
        return Wanted(key, asked.phrases, (), tuple(told), passages, length)
    if not told:
        return None
    choosing = _within(told, MOST_POSTINGS)
    weighing = _within(told[len(choosing) :], _MOST_WEIGHED, at_least=0)
    return Wanted(key, (), tuple(choosing), tuple(weighing), passages, length)


def _within(told: Sequence[Term], most: int, at_least: int = 1) -> list[Term]:
    """The first terms, as long as they occur no more than ``most`` times together."""
    found: list[Term] = []
    total = 0
    for term in told:
        total += term.count
        if len(found) >= at_least and total > most:
            break
        found.append(term)
    return found


def _counted(terms: Iterable[tuple[str, ...]], counts: dict[str, int]) -> list[Term]:
    """Each term with the passages it stands in, the rarest first."""
    found = [
        Term(forms, 1 if forms[0].endswith("*") else sum(counts.get(form, 0) for form in forms))
        for forms in terms
    ]
    return sorted(found, key=lambda term: term.count)


def _counts(
    session: Session, slot: TableClause, key: str, forms: Collection[str], passages: int
) -> dict[str, int]:
    """In how many passages each whole term stands; those that stand in none are left out.

    What stands in very many is near enough for a minute: it chooses no passages, and counting it
    takes a quarter of a search of a million.
    """
    common = _remembered.setdefault(session.get_bind(), {})
    now = time.monotonic()
    found: dict[str, int] = {}
    written: list[str] = []
    for term in (key + form for form in forms if not form.endswith("*")):
        count, of, until = common.get(f"{slot.name} {term}", (0, 0, 0.0))
        if now < until and abs(passages - of) <= _REMEMBERED_SHARE * of:
            found[term] = count
        else:
            written.append(term)
    for term, count in session.connection().execute(_counting(slot.name), {"written": written}):
        found[term] = count
        if count >= _COMMON:
            if len(common) >= _MOST_REMEMBERED:
                common.clear()
            common[f"{slot.name} {term}"] = count, passages, now + _REMEMBERED_SECONDS
    return {term.removeprefix(key): count for term, count in found.items()}


@cache
def _counting(slot: str) -> Select[Any]:
    vocabulary = table(f"{slot}_words", column("term"), column("doc"))
    return select(vocabulary.c.term, vocabulary.c.doc).where(
        vocabulary.c.term.in_(bindparam("written", expanding=True))
    )


def _unwritten(session: Session, library_id: str) -> Wording:
    """A library into which nothing was written since the index has its present form."""
    return Wording(0, _first_generation(session, library_id), ())


def _first_generation(session: Session, library_id: str) -> int:
    found = select(PlaceRow.generation).where(PlaceRow.library_id == library_id)
    return session.scalar(found) or 0


def _wording(session: Session, scope: Scope, library_id: str) -> Wording | None:
    asked = scope.parameters(ScopeKind.WORKSPACE) | {"library_id": library_id}
    found = session.connection().execute(_WORDING, asked).first()
    return None if found is None else Wording(found[0], found[1], tuple(found[2]))


def _set(session: Session, scope: Scope, library_id: str, **values: object) -> None:
    session.execute(
        update(WordsRow)
        .where(WordsRow.library_id == library_id, in_scope(WordsRow, scope))
        .values(**values)
        .execution_options(synchronize_session=False)
    )
