"""Runs planned work through a decoder: builds the batch, and draws from what comes out."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from ponant.engine.cache import PAGE_TOKENS
from ponant.engine.decoder import Batch, Decoder, Floats, Indices
from ponant.engine.port import Token
from ponant.engine.sampling import Draw, DrawRows
from ponant.engine.sequence import Work

# At once: a row of 262,144 takes a megabyte, and the C library maps and clears what is over 32 MiB
# anew each time.
_LOGIT_ROWS: Final = 24


class Runner:
    """A decoder, and how tokens are drawn from its logits."""

    def __init__(self, decoder: Decoder, draw_rows: DrawRows) -> None:
        self._decoder = decoder
        self._draw_rows = draw_rows

    def run(self, work: Sequence[Work], wanted: Sequence[Sequence[int]]) -> Floats:
        """Compute the work's tokens and their drafts.

        Args:
            work: what the scheduler planned.
            wanted: for each item, which of its rows' hidden states to return, counted from the
                item's first.

        Returns:
            Hidden states of the wanted rows of all items in turn, shape (wanted, width).
        """
        return self._decoder.forward(make_batch(work, wanted))

    def draw(self, hidden: Floats, draws: Sequence[Draw]) -> list[Token]:
        """A token for each row of hidden states."""
        plain = all(draw.plain for draw in draws)
        tokens: list[Token] = []
        for start in range(0, len(draws), _LOGIT_ROWS):
            rows = slice(start, start + _LOGIT_ROWS)
            if plain:
                tokens += map(Token, self._decoder.best(hidden[rows]).tolist())
            else:
                tokens += self._draw_rows(draws[rows], self._decoder.logits(hidden[rows]))
        return tokens


def make_batch(work: Sequence[Work], wanted: Sequence[Sequence[int]]) -> Batch:
    """The work as flat arrays."""
    tokens: list[int] = []
    rows: list[int] = []
    pages: list[int] = []
    for item, asked in zip(work, wanted, strict=True):
        rows += [len(tokens) + offset for offset in asked]
        tokens += item.sequence.tokens[item.start : item.start + item.count]
        tokens += item.drafts
        pages += item.sequence.lease.pages[: _page_count(item)]
    return Batch(
        tokens=np.array(tokens, np.int32),
        starts=_edges(item.rows for item in work),
        positions=np.array([item.start for item in work], np.int32),
        page_starts=_edges(_page_count(item) for item in work),
        pages=np.array(pages, np.int32),
        wanted=np.array(rows, np.int32),
    )


def _page_count(item: Work) -> int:
    return -(-(item.start + item.rows) // PAGE_TOKENS)


def _edges(sizes: Iterable[int]) -> Indices:
    return np.fromiter(itertools.accumulate(sizes, initial=0), np.int32)
