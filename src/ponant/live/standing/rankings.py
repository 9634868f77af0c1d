"""The two ranked lists of many queries at once, and which passages their fusion admits.

What `indexing.search` does for one query with lists, done for thousands with arrays: places in the
two lists are worth 1 / (s + rank), those of words times their trust, the sums are ordered,
the first ``limit`` are admitted.

Arrays of a list have the shape (queries, depth): passage rows and their weights, the heaviest
first, equal ones by row; where a list is shorter, the row is `NONE` and the weight -inf.
"""

import numpy as np
from numpy.typing import NDArray

from ponant.live.indexing.fusion import LEAST_TRUST, LOOKED_AT
from ponant.live.indexing.search import DEPTH, SMOOTHING

Rows = NDArray[np.int64]
Weights = NDArray[np.float32]

NONE = -1
NOTHING = np.float32(-np.inf)
_WORTH = 1.0 / (SMOOTHING + np.arange(1, DEPTH + 1))
_AT_ONCE = 512  # queries; each compares every place of the one list with every of the other


def merged(rows: Rows, weights: Weights, more: Rows, theirs: Weights) -> tuple[Rows, Weights]:
    """Lists with further passages in their places, cut to their depth.

    Args:
        more: rows, shape (passages,); ``theirs``: their weights, shape (queries, passages), -inf
            where a passage is not in a list.
    """
    wide = np.broadcast_to(more, theirs.shape)
    all_rows = np.concatenate((rows, wide), axis=1)
    all_weights = np.concatenate((weights, theirs), axis=1)
    order = np.lexsort((all_rows, -all_weights), axis=-1)[:, : rows.shape[1]]
    weights = np.take_along_axis(all_weights, order, axis=1)
    rows = np.take_along_axis(all_rows, order, axis=1)
    return np.where(np.isneginf(weights), NONE, rows), weights


def without(rows: Rows, weights: Weights, gone: Rows) -> tuple[Rows, Weights]:
    """Lists without some passages; what stood behind them moves up."""
    left = np.where(np.isin(rows, gone), NOTHING, weights)
    return merged(rows, left, np.zeros(0, np.int64), np.zeros((len(rows), 0), np.float32))


def admitted(by_words: Rows, by_meaning: Rows, limits: NDArray[np.int64]) -> Rows:
    """The passages that queries admit, shape (queries, most of ``limits``), ascending by row."""
    width = int(limits.max(initial=0))
    parts = [
        _admitted(by_words[one], by_meaning[one], limits[one], width)
        for begin in range(0, len(limits), _AT_ONCE)
        for one in [slice(begin, begin + _AT_ONCE)]
    ]
    return np.concatenate(parts) if parts else np.zeros((0, width), np.int64)


def _admitted(by_words: Rows, by_meaning: Rows, limits: NDArray[np.int64], width: int) -> Rows:
    both = (by_words[:, :, None] == by_meaning[:, None, :]) & (by_words != NONE)[:, :, None]
    words = np.where(by_words == NONE, 0.0, _trusted(by_words, by_meaning, both) * _WORTH)
    words += both @ _WORTH
    meaning = np.where((by_meaning == NONE) | both.any(axis=1), 0.0, _WORTH)
    rows = np.concatenate((by_words, by_meaning), axis=1)
    worth = np.concatenate((words, meaning), axis=1)
    order = np.lexsort((rows, -worth), axis=-1)[:, :width]
    best = np.take_along_axis(rows, order, axis=1)
    real = np.take_along_axis(worth, order, axis=1) > 0
    within = np.arange(best.shape[1]) < limits[:, None]
    return np.sort(np.where(real & within, best, NONE), axis=1)


def _trusted(by_words: Rows, by_meaning: Rows, both: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What words are trusted, shape (queries, 1)."""
    is_strange = (by_words != NONE) & ~both.any(axis=2)
    strange = is_strange[:, :LOOKED_AT].sum(axis=1)
    has_meaning = (by_meaning != NONE).any(axis=1)
    trusted = 1.0 - (1.0 - LEAST_TRUST) * strange / LOOKED_AT
    return np.where(has_meaning, trusted, 1.0)[:, None]
