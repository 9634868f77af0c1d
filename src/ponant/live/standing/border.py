"""Where the border lies between the passages that a search admits and those that it does not.

The two lists of a search are fused by their ranks (`indexing.search`): a passage at rank r of one
list is worth 1 / (s + r). From what the last admitted passage is worth follows the rank from which
on a new passage, however well it does in both lists, cannot come among the admitted; what stands
at that rank sets the bar.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ponant.live.indexing.search import SMOOTHING
from ponant.live.port import Hit
from ponant.live.standing.matching import State
from ponant.live.standing.terms import keys
from ponant.live.tables import PassageRow

Vector = NDArray[np.float32]

_SLACK = 1e-3  # cosine; the same text embedded in another batch differs by less
_LEEWAY = 0.9  # of a weight: words are weighed more coarsely here than in the keyword index


def state_of(
    query: str,
    limit: int,
    hits: Sequence[Hit],
    rows: Mapping[str, PassageRow],
    vector: Vector | None,
    identity: str | None,
    vectors: Mapping[str, bytes],
    weigh: Callable[[str], float],
) -> State:
    """What a search of ``query`` says of the passages that could come next.

    Args:
        limit: how many of ``hits`` are admitted.
        hits: the admitted ones and what comes after them.
        rows: the passages of the hits, by their public id.
        vectors: theirs, by `input_hash`.
        weigh: how much a word tells.
    """
    terms = {term: weigh(term) for term in keys(query)}
    rank = _deepest(hits, limit)
    return State(
        identity=identity,
        vector=None if vector is None else vector.astype(np.float32).tobytes(),
        vector_bar=_vector_bar(hits, rows, vector, vectors, rank),
        terms=terms,
        term_bar=_term_bar(hits, terms, rank),
        rows=tuple(row.id for row in rows.values()),
        documents=tuple({row.document_id for row in rows.values()}),
    )


def _deepest(hits: Sequence[Hit], limit: int) -> int | None:
    """The rank in either list behind which nothing matters; None where all is admitted."""
    if len(hits) <= limit:
        return None
    admitted = hits[:limit]
    alone = 2 / max(admitted[-1].score, 1e-9) - SMOOTHING
    ranks = [rank for one in admitted for rank in (one.keyword_rank, one.vector_rank) if rank]
    return max(int(alone) + 1, *ranks)


def _vector_bar(
    hits: Sequence[Hit],
    rows: Mapping[str, PassageRow],
    vector: Vector | None,
    vectors: Mapping[str, bytes],
    rank: int | None,
) -> float:
    if vector is None or rank is None:
        return -1.0
    similar = {
        one.vector_rank: float(np.frombuffer(vectors[row.input_hash], np.float32) @ vector)
        for one in hits
        if one.vector_rank
        and (row := rows.get(one.passage_id)) is not None
        and row.input_hash in vectors
    }
    return _at(similar, rank, -1.0) - _SLACK


def _term_bar(hits: Sequence[Hit], terms: Mapping[str, float], rank: int | None) -> float:
    least = min(terms.values(), default=0.0)
    if rank is None:
        return least
    weights: dict[int, float] = {}
    for one in hits:
        if one.keyword_rank:
            given = keys(f"{one.document_name} {one.heading} {one.text}") & terms.keys()
            weights[one.keyword_rank] = sum(terms[term] for term in given)
    upto = {place: weight for place, weight in weights.items() if place <= rank}
    if not upto:
        return least
    return max(min(upto.values()) * _LEEWAY, least)


def _at(values: Mapping[int, float], rank: int, default: float) -> float:
    """The value at a rank; where that was not looked at, of the nearest behind it, else before."""
    behind = [place for place in values if place >= rank]
    if behind:
        return values[min(behind)]
    return min(values.values(), default=default)
