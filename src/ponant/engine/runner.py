"""Runs planned work through the model: builds the batch, owns the cache's tensors."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ponant.engine.attention import BLOCK_TOKENS, TILE_TOKENS, KeyValueCache, Tile
from ponant.engine.cache import PAGE_TOKENS
from ponant.engine.models.base import Batch, LanguageModel
from ponant.engine.scheduler import Work

_LEAST_ROWS = 2
_PAGES_A_BLOCK = BLOCK_TOKENS // PAGE_TOKENS


class Runner:
    """A model and its cache.

    Args:
        model: what to run.
        pages: pages of the cache, without page 0.
    """

    def __init__(self, model: LanguageModel, pages: int) -> None:
        shape = model.shape
        self._model = model
        self._cache = KeyValueCache(
            shape.layers, shape.key_value_heads, pages + 1, shape.head_size, model.dtype
        )

    def run(self, work: Sequence[Work], wanted: Sequence[Sequence[int]]) -> list[Tensor]:
        """Compute the work's tokens.

        Args:
            work: what the scheduler planned.
            wanted: for each item, which of its tokens' hidden states to return, counted from the
                item's first.

        Returns:
            For each item, hidden states of shape (wanted, width).
        """
        hidden = self._model.forward(_batch(work, wanted), self._cache)
        return list(torch.split(hidden, [len(rows) for rows in wanted]))

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores over the vocabulary in float32, shape (rows, vocabulary)."""
        return self._model.logits(hidden)


def _batch(work: Sequence[Work], wanted: Sequence[Sequence[int]]) -> Batch:
    tokens: list[int] = []
    positions: list[int] = []
    slots: list[int] = []
    tiles: list[Tile] = []
    rows: list[int] = []
    for item, asked in zip(work, wanted, strict=True):
        first, span = len(tokens), range(item.start, item.start + item.count)
        pages = item.sequence.lease.pages
        tokens += item.sequence.tokens[span.start : span.stop]
        positions += span
        slots += [pages[at // PAGE_TOKENS] * PAGE_TOKENS + at % PAGE_TOKENS for at in span]
        tiles += _tiles(first, item, pages)
        rows += [first + offset for offset in asked]
    filling = max(0, _LEAST_ROWS - len(tokens))
    return Batch(
        tokens=np.array(tokens + tokens[-1:] * filling),
        positions=torch.tensor(positions + positions[-1:] * filling),
        slots=torch.tensor(slots + [0] * filling),
        tiles=tiles,
        wanted=torch.tensor(rows, dtype=torch.int64),
    )


def _tiles(first: int, item: Work, pages: Sequence[int]) -> list[Tile]:
    filling = -len(pages) % _PAGES_A_BLOCK
    padded = torch.tensor([*pages, *[0] * filling])
    starts = range(0, item.count, TILE_TOKENS)
    return [
        Tile(
            first + start, first + min(start + TILE_TOKENS, item.count), item.start + start, padded
        )
        for start in starts
    ]
