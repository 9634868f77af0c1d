"""Small decoders in memory, described as the engine describes those in files."""

from dataclasses import dataclass

import gguf
import numpy as np
from numpy.typing import NDArray

from ponant.engine.models.spec import (
    Activation,
    Attention,
    DecoderSpec,
    Experts,
    FeedForward,
    LayerSpec,
    Linear,
    Matrix,
    Rope,
)

Floats = NDArray[np.float32]
Generator = np.random.Generator


class ArrayMatrix:
    """A weight that stands in memory as a file would store it."""

    def __init__(self, values: Floats, stored_as: str = "F32") -> None:
        self.outputs, self.inputs = values.shape
        self.format = stored_as
        kind = gguf.GGMLQuantizationType[stored_as]
        self._raw = np.ascontiguousarray(gguf.quants.quantize(values, kind)).view(np.uint8)
        self._values = gguf.quants.dequantize(self._raw, kind).reshape(values.shape)

    def raw(self) -> NDArray[np.uint8]:
        return self._raw

    def values(self, start: int = 0, stop: int | None = None) -> Floats:
        return self._values[start:stop].astype(np.float32)


@dataclass(frozen=True)
class Kind:
    """What a small decoder consists of; the defaults are Llama's."""

    width: int = 64
    heads: int = 4
    key_value_heads: int = 2
    head_size: int = 32
    inner: int = 96
    vocabulary_size: int = 61
    windows: tuple[int | None, ...] = (None, None)
    rotated: int = 32
    interleaved: bool = False
    rope_factor: float = 1.0
    bias: bool = False
    head_norms: bool = False
    post_norms: bool = False
    temperature: tuple[float, int] | None = None
    gate: bool = True
    activation: Activation = "silu"
    experts: int = 0
    tied: bool = False
    embedding_scale: float = 1.0
    format: str = "F32"


KINDS: dict[str, Kind] = {
    "llama": Kind(),
    "multi-head": Kind(key_value_heads=4, interleaved=True),
    "one key head": Kind(heads=6, key_value_heads=1, head_size=16, rotated=16),
    "window": Kind(windows=(20, None, 3)),
    "odd head size": Kind(heads=3, key_value_heads=3, head_size=22, rotated=22),
    "partial rope": Kind(rotated=12, rope_factor=1.2),
    "interleaved partial rope": Kind(rotated=12, interleaved=True),
    "qwen": Kind(bias=True, head_norms=True),
    "gemma": Kind(
        head_norms=True,
        post_norms=True,
        activation="gelu",
        windows=(24, None),
        tied=True,
        embedding_scale=8.0,
    ),
    "temperature": Kind(temperature=(0.4, 16)),
    "apertus": Kind(gate=False, activation="xielu", head_norms=True),
    "mixtral": Kind(experts=5),
}


def describe(kind: Kind, generator: Generator) -> DecoderSpec:
    """A decoder of a kind with random weights of standard deviation 0.2, as parity tests use."""

    def matrix(outputs: int, inputs: int) -> Matrix:
        values = generator.normal(0, 0.2, (outputs, inputs)).astype(np.float32)
        return ArrayMatrix(values, kind.format)

    def vector(size: int, mean: float) -> Floats:
        return generator.normal(mean, 0.2, size).astype(np.float32)

    def linear(outputs: int, inputs: int, bias: bool = False) -> Linear:
        return Linear(matrix(outputs, inputs), vector(outputs, 0) if bias else None)

    def feed_forward() -> FeedForward:
        xielu = (0.8, 0.9, 0.5, -1e-6) if kind.activation == "xielu" else None
        return FeedForward(
            up=linear(kind.inner, kind.width),
            down=linear(kind.width, kind.inner),
            gate=linear(kind.inner, kind.width) if kind.gate else None,
            activation=kind.activation,
            xielu=xielu,
        )

    def layer(index: int, window: int | None) -> LayerSpec:
        queries, keys = kind.heads * kind.head_size, kind.key_value_heads * kind.head_size
        return LayerSpec(
            attention_norm=vector(kind.width, 1),
            attention=Attention(
                query=linear(queries, kind.width, kind.bias),
                key=linear(keys, kind.width, kind.bias),
                value=linear(keys, kind.width, kind.bias),
                output=linear(kind.width, queries),
                query_scale=kind.head_size**-0.5,
                rope=index % 2,
                window=window,
                query_norm=vector(kind.head_size, 1) if kind.head_norms else None,
                key_norm=vector(kind.head_size, 1) if kind.head_norms else None,
                temperature=kind.temperature,
            ),
            feed_forward_norm=vector(kind.width, 1),
            feed_forward=Experts(
                linear(kind.experts, kind.width),
                tuple(feed_forward() for _ in range(kind.experts)),
                chosen=2,
            )
            if kind.experts
            else feed_forward(),
            attention_post_norm=vector(kind.width, 1) if kind.post_norms else None,
            feed_forward_post_norm=vector(kind.width, 1) if kind.post_norms else None,
        )

    embedding = matrix(kind.vocabulary_size, kind.width)
    return DecoderSpec(
        architecture="test",
        width=kind.width,
        heads=kind.heads,
        key_value_heads=kind.key_value_heads,
        head_size=kind.head_size,
        vocabulary_size=kind.vocabulary_size,
        context_length=4096,
        epsilon=1e-6,
        embedding=embedding,
        layers=tuple(layer(index, window) for index, window in enumerate(kind.windows)),
        ropes=tuple(_rope(kind, base) for base in (10_000.0, 1_000_000.0)),
        norm=vector(kind.width, 1),
        head=embedding if kind.tied else matrix(kind.vocabulary_size, kind.width),
        embedding_scale=kind.embedding_scale,
    )


def _rope(kind: Kind, base: float) -> Rope:
    exponents = np.arange(0, kind.rotated, 2) / kind.rotated
    frequencies = (base**-exponents).astype(np.float32)
    return Rope(frequencies, kind.rope_factor, kind.interleaved)


def random_tokens(spec: DecoderSpec, generator: Generator, count: int) -> NDArray[np.int32]:
    return generator.integers(0, spec.vocabulary_size, count, np.int32)


def in_bfloat16(matrix: Matrix) -> Floats:
    """Values rounded to bfloat16, to the nearest and to even."""
    bits = matrix.values().view(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)
    return rounded.view(np.float32)
