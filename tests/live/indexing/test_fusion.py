"""Keywords count for less where the vectors find nothing of what they found."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ponant.live.indexing import search
from ponant.live.indexing.fusion import LEAST_TRUST, trust
from ponant.live.indexing.search import DEPTH
from ponant.live.standing import rankings

_ROWS = st.lists(st.integers(1, 120), unique=True, max_size=DEPTH)


def _order(by_keyword: list[int], by_vector: list[int]) -> list[int]:
    ranks = search._fuse([(row, 1.0) for row in by_keyword], [(row, 1.0) for row in by_vector])
    return sorted(ranks, key=lambda row: (-ranks[row].score, row))


def test_keywords_that_lead_elsewhere_do_not_drown_what_is_near() -> None:
    near, told = list(range(1, 51)), list(range(101, 151))
    assert trust(told, near) == LEAST_TRUST
    assert _order(told, near)[:5] == [1, 2, 3, 4, 5]


def test_keywords_that_agree_count_in_full() -> None:
    near = list(range(1, 51))
    assert trust(near[::-1], near) == 1.0
    assert trust(near, []) == 1.0  # nothing was found by meaning, or nobody looked


def test_a_name_that_stands_once_is_found_first_or_second() -> None:
    assert 200 in _order([200], list(range(1, 51)))[:2]


@given(_ROWS, _ROWS, st.integers(1, DEPTH))
def test_standing_searches_admit_what_a_search_admits(
    by_keyword: list[int], by_vector: list[int], limit: int
) -> None:
    def listed(rows: list[int]) -> rankings.Rows:
        return np.array([rows + [rankings.NONE] * (DEPTH - len(rows))], np.int64)

    found = rankings.admitted(listed(by_keyword), listed(by_vector), np.array([limit]))[0]
    assert sorted(found[found != rankings.NONE]) == sorted(_order(by_keyword, by_vector)[:limit])
