"""What a model family gives the runner, and what the runner gives it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ponant.engine.attention import KeyValueCache, Tile


@dataclass(frozen=True, slots=True)
class Batch:
    """Tokens of several sequences, one row each, that run together.

    There are always two rows or more: oneDNN takes another path, with another order of summing,
    for a single one. A row that only fills up belongs to no tile and writes to page 0.

    Attributes:
        tokens: ids, shape (rows,).
        positions: of each token in its sequence, shape (rows,).
        slots: where each token's keys and values go in the cache, shape (rows,).
        tiles: runs of rows that attend together, at most one sequence each.
        wanted: rows whose hidden state is asked for.
    """

    tokens: NDArray[np.int64]
    positions: Tensor
    slots: Tensor
    tiles: Sequence[Tile]
    wanted: Tensor


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that the cache and the engine need to know.

    Attributes:
        context_length: longest sequence that the model was trained for, in tokens.
        weight_bytes: memory that the loaded weights take.
        loading_bytes: memory needed on top while they are loaded.
    """

    layers: int
    heads: int
    key_value_heads: int
    head_size: int
    vocabulary_size: int
    context_length: int
    weight_bytes: int = field(default=0)
    loading_bytes: int = field(default=0)


class LanguageModel(Protocol):
    """A loaded model. Each row's result depends on its own sequence alone, bit for bit."""

    @property
    def shape(self) -> Shape: ...

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights, and of keys and values in the cache."""
        ...

    def forward(self, batch: Batch, cache: KeyValueCache) -> Tensor:
        """Hidden states of the wanted rows after the last norm, float32, shape (wanted, width)."""
        ...

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores over the vocabulary in float32, shape (rows, vocabulary)."""
        ...
