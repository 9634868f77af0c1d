"""Puts a decoder together from what its family says of itself."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from ponant.engine.errors import ModelFileError
from ponant.engine.models.source import Source
from ponant.engine.models.spec import (
    Activation,
    Attention,
    DecoderSpec,
    Experts,
    FeedForward,
    Floats,
    LayerSpec,
    Linear,
    Matrix,
    Rope,
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes that every family has."""

    width: int
    layers: int
    heads: int
    key_value_heads: int
    head_size: int
    vocabulary_size: int
    context_length: int
    epsilon: float

    @classmethod
    def read(cls, source: Source, context_length: int | None = None) -> Self:
        """The settings of a model.

        Args:
            source: the model.
            context_length: where the checkpoint does not say.

        Raises:
            ModelFileError: one is missing, or they contradict each other.
        """
        width, heads = source.count("width"), source.count("heads")
        shape = source.checkpoint.shape(source.name("embedding"))
        sizes = cls(
            width=width,
            layers=source.count("layers"),
            heads=heads,
            key_value_heads=source.count("key_value_heads", heads),
            head_size=source.count("head_size", max(1, width // heads)),
            vocabulary_size=shape[0] if shape else 0,
            context_length=source.count("context_length", context_length),
            epsilon=source.number("epsilon"),
        )
        if heads % sizes.key_value_heads or sizes.head_size % 2:
            raise ModelFileError(
                f"{source.checkpoint.path} says that it has {heads} heads of "
                f"{sizes.head_size} values on {sizes.key_value_heads} of keys: fetch it again."
            )
        return sizes

    @property
    def query_scale(self) -> float:
        return 1 / math.sqrt(self.head_size)


@dataclass(frozen=True, slots=True)
class Mixture:
    """Sizes of a sparse mixture of experts."""

    experts: int
    chosen: int
    inner: int


@dataclass(frozen=True, slots=True)
class Traits:
    """What sets one family apart from another, everything else being as in Llama.

    Attributes:
        inner: values inside a feed-forward.
        windows: of each layer.
        layer_ropes: index into ``ropes`` for each layer.
        projection_bias: on queries, keys and values.
        output_bias: on attention's output.
        feed_forward_bias: on all of a feed-forward's matrices.
        head_norms: whether queries and keys are normalised.
        post_norms: whether attention's and feed-forward's results are.
        norm_offset: added to norms' weights.
        mixtures: of each layer, None for a plain feed-forward.
        xielu: of each layer, where that is the activation.
    """

    inner: int
    ropes: tuple[Rope, ...]
    windows: Sequence[int | None]
    layer_ropes: Sequence[int] | None = None
    query_scale: float | None = None
    projection_bias: bool = False
    output_bias: bool = False
    feed_forward_bias: bool = False
    head_norms: bool = False
    post_norms: bool = False
    norm_offset: float = 0.0
    gated: bool = True
    activation: Activation = "silu"
    embedding_scale: float = 1.0
    temperature: tuple[float, int] | None = None
    mixtures: Sequence[Mixture | None] | None = None
    xielu: Sequence[tuple[float, float, float, float]] | None = None


def build(source: Source, sizes: Sizes, traits: Traits) -> DecoderSpec:
    """The whole model as data; norms are read, matrices are not.

    Raises:
        ModelFileError: a tensor is missing or of another shape than the settings say.
    """
    builder = _Builder(source, sizes, traits)
    embedding = source.matrix("embedding", sizes.vocabulary_size, sizes.width)
    return DecoderSpec(
        architecture=source.architecture,
        width=sizes.width,
        heads=sizes.heads,
        key_value_heads=sizes.key_value_heads,
        head_size=sizes.head_size,
        vocabulary_size=sizes.vocabulary_size,
        context_length=sizes.context_length,
        epsilon=sizes.epsilon,
        embedding=embedding,
        layers=tuple(map(builder.layer, range(sizes.layers))),
        ropes=traits.ropes,
        norm=builder.norm("norm", sizes.width),
        head=_head(source, sizes, embedding),
        embedding_scale=traits.embedding_scale,
    )


def _head(source: Source, sizes: Sizes, embedding: Matrix) -> Matrix:
    if source.setting("tie_word_embeddings", not source.has("head")):
        return embedding
    return source.matrix("head", sizes.vocabulary_size, sizes.width)


class _Builder:
    """Reads layers of one model."""

    def __init__(self, source: Source, sizes: Sizes, traits: Traits) -> None:
        self._source = source
        self._sizes = sizes
        self._traits = traits

    def norm(self, name: str, size: int, **indices: int) -> Floats:
        return self._source.vector(name, size, **indices) + self._traits.norm_offset

    def layer(self, index: int) -> LayerSpec:
        width, post = self._sizes.width, self._traits.post_norms
        mixture = self._traits.mixtures and self._traits.mixtures[index]
        return LayerSpec(
            attention_norm=self.norm("attention_norm", width, layer=index),
            attention=self._attention(index),
            feed_forward_norm=self.norm("feed_forward_norm", width, layer=index),
            feed_forward=self._experts(index, mixture) if mixture else self._feed_forward(index),
            attention_post_norm=(
                self.norm("attention_post_norm", width, layer=index) if post else None
            ),
            feed_forward_post_norm=(
                self.norm("feed_forward_post_norm", width, layer=index) if post else None
            ),
        )

    def _attention(self, index: int) -> Attention:
        source, sizes, traits = self._source, self._sizes, self._traits
        width, size = sizes.width, sizes.head_size
        queries, keys = sizes.heads * size, sizes.key_value_heads * size
        query, key, value = (
            source.linear(name, rows, width, bias=traits.projection_bias, layer=index)
            for name, rows in (("query", queries), ("key", keys), ("value", keys))
        )
        norms = traits.head_norms
        scale = sizes.query_scale if traits.query_scale is None else traits.query_scale
        return Attention(
            query=query,
            key=key,
            value=value,
            output=source.linear("output", width, queries, bias=traits.output_bias, layer=index),
            query_scale=scale,
            rope=traits.layer_ropes[index] if traits.layer_ropes else 0,
            window=traits.windows[index],
            query_norm=self.norm("query_norm", size, layer=index) if norms else None,
            key_norm=self.norm("key_norm", size, layer=index) if norms else None,
            temperature=traits.temperature,
        )

    def _feed_forward(self, index: int) -> FeedForward:
        source, traits = self._source, self._traits
        width, inner, bias = self._sizes.width, traits.inner, traits.feed_forward_bias
        gate = None
        if traits.gated:
            gate = source.linear("gate", inner, width, bias=bias, layer=index)
        return FeedForward(
            up=source.linear("up", inner, width, bias=bias, layer=index),
            down=source.linear("down", width, inner, bias=bias, layer=index),
            gate=gate,
            activation=traits.activation,
            xielu=traits.xielu[index] if traits.xielu else None,
        )

    def _experts(self, index: int, mixture: Mixture) -> Experts:
        width, inner, count = self._sizes.width, mixture.inner, mixture.experts
        gates = self._part("gate", index, count, inner, width)
        ups = self._part("up", index, count, inner, width)
        downs = self._part("down", index, count, width, inner)
        return Experts(
            router=self._source.linear("router", count, width, layer=index),
            experts=tuple(
                FeedForward(up=up, down=down, gate=gate, activation=self._traits.activation)
                for gate, up, down in zip(gates, ups, downs, strict=True)
            ),
            chosen=mixture.chosen,
        )

    def _part(self, part: str, layer: int, count: int, outputs: int, inputs: int) -> list[Linear]:
        """One matrix of every expert, stacked in one tensor or each in its own."""
        source = self._source
        if source.has(f"stacked_{part}", layer=layer):
            name = source.name(f"stacked_{part}", layer=layer)
            stack = source.checkpoint.stack(name, count, outputs, inputs)
            return [Linear(matrix) for matrix in stack]
        return [
            source.linear(f"expert_{part}", outputs, inputs, layer=layer, expert=expert)
            for expert in range(count)
        ]
