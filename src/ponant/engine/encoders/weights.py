"""What a BERT encoder consists of, independent of the file it came from."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ponant.engine.models.spec import Floats, Linear, Matrix
from ponant.engine.weights.quantised import FORMATS, BlockFormat

Pooling = Literal["mean", "cls"]
BY_NAME = {form.name: form for form in FORMATS.values()}
"""The formats that a matrix may have, by ggml's names."""


@dataclass(frozen=True, slots=True)
class StoredMatrix:
    """A `Matrix` whose rows lie one after the other in memory or in a mapped file.

    Attributes:
        data: the bytes, of shape (outputs, bytes of a row).
        form: how they are packed.
    """

    data: NDArray[np.uint8]
    outputs: int
    inputs: int
    form: BlockFormat

    @property
    def format(self) -> str:
        return self.form.name

    def raw(self) -> NDArray[np.uint8]:
        return self.data

    def values(self, start: int = 0, stop: int | None = None) -> Floats:
        return _expanded(self.data[start:stop], self.form)


def float_matrix(values: Floats) -> StoredMatrix:
    """A matrix over float32 values of shape (outputs, inputs), which are not copied."""
    outputs, inputs = values.shape
    data = np.ascontiguousarray(values).view(np.uint8)
    return StoredMatrix(data, outputs, inputs, BY_NAME["F32"])


def rows_of(matrix: Matrix, ids: NDArray[np.integer]) -> Floats:
    """Rows of an embedding table, as a fresh array of shape (len(ids), inputs)."""
    return _expanded(matrix.raw().reshape(matrix.outputs, -1)[ids], BY_NAME[matrix.format])


def _expanded(rows: NDArray[np.uint8], form: BlockFormat) -> Floats:
    return form.expand(rows.reshape(-1, form.size)).reshape(len(rows), -1)


@dataclass(frozen=True, slots=True)
class Norm:
    """A layer normalisation over the hidden size."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True, slots=True)
class Layer:
    """One post-norm transformer layer."""

    query: Linear
    key: Linear
    value: Linear
    output: Linear
    attention_norm: Norm
    up: Linear
    down: Linear
    output_norm: Norm

    @property
    def maps(self) -> tuple[Linear, ...]:
        """Every affine map of the layer."""
        return (self.query, self.key, self.value, self.output, self.up, self.down)


@dataclass(frozen=True, slots=True)
class Scorer:
    """What a cross-encoder has on top: ``output(tanh(dense(first token's state)))``."""

    dense: Linear
    output: Linear


@dataclass(frozen=True, slots=True)
class BertWeights:
    """A whole encoder (Devlin et al., arXiv 1810.04805).

    Attributes:
        words: word embeddings, of shape (vocabulary, hidden).
        positions: of shape (max_tokens, hidden), row 0 for the first token.
        types: of shape (token types, hidden); a pair's second part has type 1 where there are two.
        scorer: the head of a cross-encoder, or None.
    """

    heads: int
    epsilon: float
    words: Matrix
    positions: Floats
    types: Floats
    embedding_norm: Norm
    layers: tuple[Layer, ...]
    pooling: Pooling = "mean"
    scorer: Scorer | None = None

    @property
    def hidden(self) -> int:
        return self.words.inputs

    @property
    def max_tokens(self) -> int:
        return len(self.positions)
