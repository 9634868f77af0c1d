"""What a search would now admit is never passed over: held against searching every query again."""

import random
from dataclasses import dataclass, field

import numpy as np
import pytest

from ponant.live import repository
from ponant.live.indexing import keywords
from ponant.live.indexing.index import Moved
from ponant.live.indexing.search import DEPTH, ranked
from ponant.live.port import SearchOptions
from ponant.live.standing import weights
from ponant.live.standing.finding import Finder
from ponant.live.standing.matching import MEANING, WORDS, Matcher
from ponant.live.standing.query import Found, Query, name, row_of
from ponant.live.standing.rankings import NONE, admitted
from ponant.live.standing.repository import passages
from tests.live.conftest import SCOPE
from tests.live.indexing.conftest import Shelf, vector_of

_SOUNDS = ("ka", "lon", "mo", "mir", "ri", "sun", "te", "vek")
_WORDS = [f"{one}{two}{three}" for one in _SOUNDS for two in _SOUNDS for three in _SOUNDS]
_SHARES = [1 / (rank + 3) for rank in range(len(_WORDS))]  # as words are in languages (Zipf)
_OWNER = SCOPE
_LIMIT = 5
_QUERIES, _EDITS = 25, 12
_FEW = 0.05


@dataclass
class _Kept:
    """Queries over a shelf, matched as `Standing` does it."""

    shelf: Shelf
    random: random.Random
    matcher: Matcher = field(default_factory=Matcher)
    queries: dict[str, Query] = field(default_factory=dict)
    documents: list[str] = field(default_factory=list)
    candidates: int = 0
    affected: int = 0
    traded: int = 0  # old passages changed places, as an edit moved what words weigh

    @property
    def finder(self) -> Finder:
        return Finder(self.shelf.index.database)

    def text(self) -> str:
        return " ".join(self.random.choices(_WORDS, _SHARES, k=self.random.randint(4, 40)))

    def ask(self, number: int) -> None:
        words = self.random.choices(_WORDS, _SHARES, k=5)
        row = row_of(
            _OWNER, f"q{number}", [self.shelf.library_id], " ".join(words), _LIMIT, [], None
        )
        self.look(Query(row))

    def look(self, query: Query) -> None:
        vector = vector_of(query.query)
        found, ranking = self._search(query)
        query.evidence = frozenset(name(one.passage_id, one.hash) for one in found.hits)
        query.state = self.finder.state(query, Found(found, ranking, vector, "test-embedder"))
        self.queries[query.id] = query
        self.matcher.put(query.id, query.library_ids, query.state)

    def admitted(self, query: Query) -> frozenset[str]:
        return frozenset(name(one.passage_id, one.hash) for one in self._search(query)[0].hits)

    def _search(self, query: Query):  # type: ignore[no-untyped-def]
        return ranked(
            self.shelf.index,
            _OWNER,
            [self.shelf.library_id],
            query.query,
            vector_of(query.query),
            query.limit,
            SearchOptions(),
        )

    def edit(self) -> Moved:
        what = self.random.random()
        if what < 0.2 and len(self.documents) > 60:
            document_id = self.documents.pop(self.random.randrange(len(self.documents)))
            return self.shelf.index.delete_documents(SCOPE, self.shelf.library_id, [document_id])
        if what < 0.6:
            return self.add()
        document_id = self.random.choice(self.documents)
        return self.shelf.put(self.text(), document_id, document_id=document_id)[1]

    def add(self) -> Moved:
        document_id, moved = self.shelf.put(self.text(), f"{len(self.documents)}.md")
        self.documents.append(document_id)
        return moved

    def follow(self, moved: Moved) -> None:
        """Match a change, and see that every query that it moved is among the candidates."""
        met = self.finder.concerned(self.matcher, [(SCOPE, moved)], "test-embedder")
        self.candidates += len(met.candidates)
        removed, added = frozenset(met.removed), frozenset(met.added)
        for query in list(self.queries.values()):
            now = self.admitted(query)
            entered, lost = now & added, query.lost_for_good(removed, added)
            assert query.id in met.candidates or not (entered or lost), query.query
            assert not lost or now != query.evidence
            self.affected += now != query.evidence
            self.traded += now != query.evidence and query.id not in met.candidates
            if query.id in met.candidates:
                self.look(query)


@pytest.mark.parametrize("seed", range(1))
def test_every_query_that_an_edit_moves_is_a_candidate_and_few_others_are(
    shelf: Shelf,
    seed: int,
) -> None:
    kept = _Kept(shelf, random.Random(seed))
    for _ in range(100):
        kept.add()
    for number in range(_QUERIES):
        kept.ask(number)
    for _ in range(_EDITS):
        kept.follow(kept.edit())
    assert kept.affected - kept.traded > _EDITS
    if shelf.index.database.is_server:
        return  # what a word weighs there is not told, so whom it may move is searched again
    assert kept.candidates - (kept.affected - kept.traded) <= _FEW * _EDITS * _QUERIES


@pytest.mark.parametrize("shelf", ["sqlite"], indirect=True)
def test_words_weigh_what_the_keyword_index_says(shelf: Shelf) -> None:
    kept = _Kept(shelf, random.Random(3))
    for _ in range(80):
        kept.add()
    shelf.put("# kalonmo monmo\n\nkalonmo and kalonmo again, beside tevekka")
    query = "kalonmo tevekka Möhren"
    with shelf.index.database.read() as session:
        library = repository.library(session, SCOPE, shelf.library_id)
        asked = weights.asked(session, SCOPE, library, query)
        found = dict(keywords.search(session, SCOPE, library, query, [], 50))
        rows = passages(session, SCOPE, list(found))
        full = weights.fullness(session, SCOPE, shelf.library_id, rows)
    assert len(found) > 1
    assert asked.comparable
    for row, weight in found.items():
        told = sum(value * full[row].get(term, 0.0) for term, value in asked.weights.items())
        assert told == pytest.approx(weight, rel=1e-6)


def test_words_side_by_side_make_a_query_that_weights_say_nothing_of(shelf: Shelf) -> None:
    shelf.put("the desk opens late")
    with shelf.index.database.read() as session:
        library = repository.library(session, SCOPE, shelf.library_id)
        assert not weights.asked(session, SCOPE, library, '"desk opens" late').comparable


@pytest.mark.parametrize("shelf", ["sqlite"], indirect=True)  # elsewhere no lists of words are kept
def test_many_queries_lists_are_fused_as_a_search_fuses_those_of_one(shelf: Shelf) -> None:
    kept = _Kept(shelf, random.Random(5))
    for _ in range(80):
        kept.add()
    for number in range(12):
        kept.ask(number)
    states = [one.state for one in kept.queries.values() if one.state is not None]
    lists = np.full((2, len(states), DEPTH), NONE, np.int64)
    for place, state in enumerate(states):
        for one in (WORDS, MEANING):
            rows = np.frombuffer(state.lists[2 * one], np.int64)
            lists[one, place, : len(rows)] = rows
    found = admitted(lists[WORDS], lists[MEANING], np.full(len(states), _LIMIT))
    assert found.tolist() == [sorted(state.admitted) for state in states]


def test_a_passage_that_is_found_by_meaning_only_later_is_matched_then(shelf: Shelf) -> None:
    kept = _Kept(shelf, random.Random(6))
    for _ in range(80):
        kept.add()
    for number in range(12):
        kept.ask(number)
    query = kept.queries["q7"]
    moved = shelf.put("words that nobody asks for", "late.md", embedded=False)[1]
    kept.follow(moved)
    with shelf.index.database.read() as session:
        (late,) = passages(session, SCOPE, moved.added)
    assert name(late.passage_id, late.hash) not in query.evidence
    vectors = {late.id: (late.input_hash, vector_of(query.query))}
    kept.follow(shelf.index.put_vectors(SCOPE, shelf.library_id, "test-embedder", vectors))
    assert name(late.passage_id, late.hash) in query.evidence


def test_where_words_cannot_be_weighed_whatever_has_one_is_a_candidate(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_is_fts5", lambda _: False)
    kept = _Kept(shelf, random.Random(8))
    for _ in range(60):
        kept.add()
    for number in range(10):
        kept.ask(number)
    for _ in range(6):
        kept.follow(kept.edit())
    assert kept.candidates >= kept.affected - kept.traded
