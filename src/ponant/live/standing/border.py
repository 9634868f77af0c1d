"""Where the border lies between the passages that a search admits and those that it does not.

The two lists of a search are fused by their ranks (`indexing.search`): rank r in one is worth
1 / (s + r). Let w be what the last admitted passage is worth, and d the deepest rank that was
looked at. A new passage can only be admitted

- by one list alone, from the rank on at which 1 / (s + r) + 1 / (s + d + 1) reaches w, or
- by both, where it stands before d in both and at 2 / w - s or before in one of them.

What stands at those ranks sets the bars. That others trade places when a passage comes between
them is no entrance, and is seen at the next search.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from ponant.live.indexing.search import SMOOTHING
from ponant.live.port import Hit

_NEVER = float("inf")
_ALWAYS = -2.0  # below any cosine
_LEAST = 1e-6  # any word at all
_SLACK = 1e-3  # cosine; the same text embedded in another batch differs by less
_LEEWAY = 0.85  # of a weight: the index weighs a passage's length against another usual one


class Bars(msgspec.Struct, frozen=True, array_like=True):
    """What a passage must reach in one of the lists.

    Attributes:
        alone: to be admitted whatever the other list says.
        shared: where the other list has it too.
        seen: for the other list to have it.
    """

    alone: float
    shared: float
    seen: float


OPEN_MEANING = Bars(_ALWAYS, _ALWAYS, _ALWAYS)
OPEN_WORDS = Bars(_LEAST, _LEAST, _LEAST)
CLOSED = Bars(_NEVER, _NEVER, _NEVER)


def bars(
    hits: Sequence[Hit], limit: int, similar: Mapping[str, float], weights: Mapping[str, float]
) -> tuple[Bars, Bars]:
    """The bars of meaning and of words.

    Args:
        hits: the ``limit`` admitted ones, and what comes after them.
        similar: cosine with the query, by passage id.
        weights: what the words weigh, by passage id.
    """
    if len(hits) <= limit:
        return OPEN_MEANING, OPEN_WORDS
    worth = max(hits[limit - 1].score, 1e-9)
    shared = 2 / worth - SMOOTHING
    meaning = {one.vector_rank: similar.get(one.passage_id) for one in hits if one.vector_rank}
    telling = {one.keyword_rank: weights.get(one.passage_id) for one in hits if one.keyword_rank}
    return (
        _bars(meaning, worth, shared, max(telling, default=0), _ALWAYS, lambda x: x - _SLACK),
        _bars(telling, worth, shared, max(meaning, default=0), _LEAST, lambda x: x * _LEEWAY),
    )


def _bars(
    ranked: Mapping[int, float | None],
    worth: float,
    shared: float,
    other_depth: int,
    least: float,
    eased: Callable[[float], float],
) -> Bars:
    known = {rank: value for rank, value in ranked.items() if value is not None}
    left = worth - 1 / (SMOOTHING + other_depth + 1)
    alone = 1 / left - SMOOTHING if left > 0 else _NEVER
    return Bars(
        _NEVER if alone < 1 else _at(known, alone, least, eased),
        _NEVER if shared < 1 else _at(known, shared, least, eased),
        eased(min(known.values())) if known else least,
    )


def _at(
    known: Mapping[int, float], rank: float, least: float, eased: Callable[[float], float]
) -> float:
    """The value at a rank; of one that was not looked at, that of the nearest behind it."""
    behind = [place for place in known if place >= rank]
    if not behind:
        return least
    # Ranks between that were not looked at may stand a little lower.
    return eased(min(value for place, value in known.items() if place <= min(behind)))
