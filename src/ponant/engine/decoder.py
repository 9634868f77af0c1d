"""The contract between the engine's loop and whatever multiplies: rows of tokens in, scores out."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int32]
Floats = NDArray[np.float32]

NOT_A_NUMBER: Final = -2
"""Stands for a token where a score is not a number."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Tokens of several sequences that run together, one row each.

    Sequence ``i`` has the rows ``starts[i]`` to ``starts[i + 1]``, the first of them at
    ``positions[i]``, and the pages ``pages[page_starts[i]:page_starts[i + 1]]``, which hold its
    tokens from its beginning on and reach at least to its last row.

    Attributes:
        tokens: ids, shape (rows,).
        starts: shape (sequences + 1,).
        positions: shape (sequences,).
        page_starts: shape (sequences + 1,).
        pages: page numbers, 1 and up.
        wanted: rows whose hidden state is asked for, ascending.
    """

    tokens: Indices
    starts: Indices
    positions: Indices
    page_starts: Indices
    pages: Indices
    wanted: Indices


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that the cache and the engine need to know.

    Attributes:
        width: values in a hidden state.
        context_length: longest sequence that the model can run, in tokens.
    """

    layers: int
    width: int
    heads: int
    key_value_heads: int
    head_size: int
    vocabulary_size: int
    context_length: int


class Decoder(Protocol):
    """A loaded model with its paged cache of keys and values.

    A row's result depends on its own sequence alone, bit for bit: not on the rows beside it, on
    how its prompt was cut into batches, or on the number of threads.
    """

    @property
    def shape(self) -> Shape: ...

    @property
    def form(self) -> str:
        """How the weights stand in memory: ``packed``, ``bf16`` or ``fp32``."""
        ...

    @property
    def resident_bytes(self) -> int:
        """Memory that weights and cache take once every page is in use."""
        ...

    def forward(self, batch: Batch) -> Floats:
        """Run a batch, writing its keys and values to its pages.

        Returns:
            Hidden states of the wanted rows after the last norm, shape (wanted, width).
        """
        ...

    def logits(self, hidden: Floats) -> Floats:
        """Scores over the vocabulary, shape (rows, vocabulary)."""
        ...

    def best(self, hidden: Floats) -> Indices:
        """The token with the highest score of each row, the lowest where several have it.

        Returns:
            Token ids, shape (rows,); `NOT_A_NUMBER` where a score is none.
        """
        ...

    def read_page(self, page: int) -> bytes:
        """The keys and values of a page over all layers, in a form for `write_page` alone."""
        ...

    def write_page(self, page: int, data: bytes) -> None:
        """Put back what `read_page` gave.

        Raises:
            ValueError: the data is not of this model's page size.
        """
        ...

    def close(self) -> None:
        """Free the weights and the cache."""
        ...


def best_of(logits: Floats) -> Indices:
    """`Decoder.best` from all scores, shape (rows, vocabulary)."""
    tokens = logits.argmax(axis=-1).astype(np.int32)
    chosen = np.take_along_axis(logits, tokens[:, None], axis=-1)[:, 0]
    return np.where(np.isnan(chosen), np.int32(NOT_A_NUMBER), tokens)
