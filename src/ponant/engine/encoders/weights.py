"""What a BERT encoder consists of, independent of the file it came from."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pooling = Literal["mean", "cls"]


class Table(Protocol):
    """An embedding table, looked up by row."""

    @property
    def shape(self) -> tuple[int, int]:
        """(vocabulary, hidden)."""
        ...

    @property
    def resident_bytes(self) -> int: ...

    def rows(self, ids: NDArray[np.int64]) -> Floats:
        """The rows of ``ids``, as a fresh array of shape (len(ids), hidden)."""
        ...


@dataclass(frozen=True, slots=True)
class FloatTable:
    """A table that lies in memory as float32."""

    values: Floats

    @property
    def shape(self) -> tuple[int, int]:
        return self.values.shape[0], self.values.shape[1]

    @property
    def resident_bytes(self) -> int:
        return self.values.nbytes

    def rows(self, ids: NDArray[np.int64]) -> Floats:
        return self.values[ids]


@dataclass(frozen=True, slots=True)
class Norm:
    """A layer normalisation over the hidden size."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True, slots=True)
class Linear:
    """An affine map; the weight has shape (out, in)."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True, slots=True)
class Layer:
    """One post-norm transformer layer.

    ``qkv`` holds the query, key and value maps one after another, the query's already divided by
    the square root of the head size.
    """

    qkv: Linear
    output: Linear
    attention_norm: Norm
    up: Linear
    down: Linear
    output_norm: Norm


@dataclass(frozen=True, slots=True)
class BertWeights:
    """A whole encoder (Devlin et al., arXiv 1810.04805).

    Attributes:
        words: word embeddings.
        positions: of shape (max_tokens, hidden), row 0 for the first token; the embedding of
            token type 0 is already added.
    """

    heads: int
    epsilon: float
    words: Table
    positions: Floats
    embedding_norm: Norm
    layers: tuple[Layer, ...]
    pooling: Pooling = "mean"


def fuse_qkv(query: Linear, key: Linear, value: Linear, heads: int) -> Linear:
    """The three attention maps as one product, with the softmax scale folded into the query."""
    hidden = query.weight.shape[0]
    scale = np.float32((hidden // heads) ** -0.5)
    return Linear(
        np.concatenate([query.weight * scale, key.weight, value.weight]),
        np.concatenate([query.bias * scale, key.bias, value.bias]),
    )
