"""Builds the batches that a decoder takes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ponant.engine.cache import PAGE_TOKENS
from ponant.engine.decoder import Batch


@dataclass(frozen=True)
class Piece:
    """Some tokens of a sequence, from position ``start`` on; ``wanted`` counts from the first."""

    tokens: Sequence[int]
    start: int
    pages: Sequence[int]
    wanted: Sequence[int]


def batch_of(*pieces: Piece) -> Batch:
    """A batch of one piece for each sequence."""
    starts = np.cumsum([0, *(len(piece.tokens) for piece in pieces)])
    wanted = [
        first + row for first, piece in zip(starts, pieces, strict=False) for row in piece.wanted
    ]
    return Batch(
        tokens=_array([token for piece in pieces for token in piece.tokens]),
        starts=_array(starts),
        positions=_array([piece.start for piece in pieces]),
        page_starts=_array(np.cumsum([0, *(len(piece.pages) for piece in pieces)])),
        pages=_array([page for piece in pieces for page in piece.pages]),
        wanted=_array(wanted),
    )


def whole(tokens: Sequence[int], first_page: int = 1) -> Batch:
    """A batch of one sequence from its beginning, every row wanted."""
    pages = range(first_page, first_page + pages_for(len(tokens)))
    return batch_of(Piece(tokens, 0, pages, range(len(tokens))))


def pages_for(length: int) -> int:
    return -(-length // PAGE_TOKENS)


def _array(
    values: Sequence[int] | np.ndarray[tuple[int], np.dtype[np.int64]],
) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.asarray(values, np.int32)
