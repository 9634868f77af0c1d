"""A decoder as data: what its layers consist of, for any executor to read.

Families differ in what they put here and nowhere else. Weights are handles into mapped files;
nothing large is read before an executor asks for it.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Activation = Literal["silu", "gelu", "xielu"]
"""``gelu`` is the tanh formula; ``xielu`` is Apertus's (arXiv 2411.13010)."""


class Matrix(Protocol):
    """A weight of shape (outputs, inputs) that lies in a file."""

    @property
    def outputs(self) -> int: ...

    @property
    def inputs(self) -> int: ...

    @property
    def format(self) -> str:
        """ggml's name of how the file stores it: F32, F16, BF16, Q8_0, Q4_K and so on."""
        ...

    def raw(self) -> NDArray[np.uint8]:
        """The stored bytes, row after row in the layout of `format`."""
        ...

    def values(self, start: int = 0, stop: int | None = None) -> Floats:
        """Rows ``start:stop`` as float32."""
        ...


@dataclass(frozen=True, slots=True)
class Linear:
    """A matrix and, in some families, a bias of shape (outputs,)."""

    matrix: Matrix
    bias: Floats | None = None


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary position embedding (arXiv 2104.09864).

    Attributes:
        frequencies: radians a position, after any scaling (linear, llama3, YaRN), shape
            (rotated values / 2,); values behind the rotated ones are left alone.
        factor: on cosines and sines alike (YaRN's attention factor).
        interleaved: whether neighbours rotate against each other, not halves.
    """

    frequencies: Floats
    factor: float = 1.0
    interleaved: bool = False


@dataclass(frozen=True, slots=True)
class Attention:
    """Grouped-query attention.

    Attributes:
        query_scale: on scores.
        window: tokens that a token sees, its own included, or None for all before it.
        rope: index into `DecoderSpec.ropes`.
        query_norm: root-mean-square norm over each query head, shape (head size,), or None.
        temperature: ``(beta, length)`` multiplies a query at position p by
            ``1 + beta * log(1 + p // length)`` (Llama 4, Ministral 3), or None.
    """

    query: Linear
    key: Linear
    value: Linear
    output: Linear
    query_scale: float
    rope: int = 0
    window: int | None = None
    query_norm: Floats | None = None
    key_norm: Floats | None = None
    temperature: tuple[float, int] | None = None


@dataclass(frozen=True, slots=True)
class FeedForward:
    """``down(activation(gate(x)) * up(x))``, or ``down(activation(up(x)))`` without a gate.

    Attributes:
        xielu: alpha_p, alpha_n, beta and eps of xIELU, the alphas after their softplus and
            alpha_n with beta added to it.
    """

    up: Linear
    down: Linear
    gate: Linear | None = None
    activation: Activation = "silu"
    xielu: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Experts:
    """A sparse mixture (Mixtral, arXiv 2401.04088): softmax over the chosen experts' scores."""

    router: Linear
    experts: tuple[FeedForward, ...]
    chosen: int


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One block: ``x += post(attention(norm(x)))``, then ``x += post(feed_forward(norm(x)))``.

    Norms are root-mean-square norms of shape (width,); those after a part may be missing.
    """

    attention_norm: Floats
    attention: Attention
    feed_forward_norm: Floats
    feed_forward: FeedForward | Experts
    attention_post_norm: Floats | None = None
    feed_forward_post_norm: Floats | None = None


@dataclass(frozen=True, slots=True)
class DecoderSpec:
    """A whole decoder-only language model.

    Attributes:
        embedding: one row a token.
        embedding_scale: on the rows of the embedding (Gemma).
        head: scores over the vocabulary; the same object as ``embedding`` where they are tied.
        epsilon: of every norm.
        context_length: longest sequence that the model knows.
    """

    architecture: str
    width: int
    heads: int
    key_value_heads: int
    head_size: int
    vocabulary_size: int
    context_length: int
    epsilon: float
    embedding: Matrix
    layers: tuple[LayerSpec, ...]
    ropes: tuple[Rope, ...]
    norm: Floats
    head: Matrix
    embedding_scale: float = 1.0
