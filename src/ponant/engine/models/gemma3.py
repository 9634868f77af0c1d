"""Gemma 3 (https://arxiv.org/abs/2503.19786), text only, from GGUF.

Five layers attend within a window for each that attends to everything; queries and keys are
normalised; each block's output is normalised again before it joins the residual stream. The
residual stream, norms and attention are float32; weights are in the chosen form. llama.cpp's
converter has added the one of Gemma's norms to the weights already.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import torch
from torch import Tensor

from ponant.engine.attention import KeyValueCache, attend
from ponant.engine.errors import ModelFileError
from ponant.engine.models.base import Batch, Shape
from ponant.engine.models.layers import Embedding, PackedLinear, Rope, load_tensor, rotate
from ponant.engine.weights import GgufFile

_EMBEDDING: Final = "token_embd.weight"
_HEAD: Final = "output.weight"
_WINDOW_PATTERN: Final = 6
_LOCAL_ROPE_BASE: Final = 10_000.0
_LAYERS_OF_27B: Final = 62
_REFINED: Final = 64


@dataclass(frozen=True, slots=True)
class Gemma3Config:
    """The family's sizes, named as in GGUF's metadata."""

    layers: int
    width: int
    inner: int
    heads: int
    key_value_heads: int
    head_size: int
    vocabulary_size: int
    context_length: int
    window: int
    window_pattern: int
    epsilon: float
    rope_base: float
    rope_scale: float
    local_rope_base: float

    @classmethod
    def read(cls, file: GgufFile) -> Self:
        """The settings of a file.

        Raises:
            ModelFileError: one is missing or cannot be.
        """
        settings = _Settings(file)
        return cls(
            layers=settings.count("block_count"),
            width=settings.count("embedding_length"),
            inner=settings.count("feed_forward_length"),
            heads=settings.count("attention.head_count"),
            key_value_heads=settings.count("attention.head_count_kv"),
            head_size=settings.count("attention.key_length", 256),
            vocabulary_size=settings.rows(_EMBEDDING),
            context_length=settings.count("context_length"),
            window=settings.count("attention.sliding_window"),
            window_pattern=settings.count("attention.sliding_window_pattern", _WINDOW_PATTERN),
            epsilon=settings.number("attention.layer_norm_rms_epsilon"),
            rope_base=settings.number("rope.freq_base", 1e6),
            rope_scale=settings.number("rope.scaling.factor", 1.0),
            local_rope_base=settings.number("rope.freq_base_swa", _LOCAL_ROPE_BASE),
        )

    @property
    def query_scale(self) -> float:
        """Factor on scores; the 27B model has its own."""
        size = self.width / self.heads if self.layers == _LAYERS_OF_27B else self.head_size
        return 1 / math.sqrt(size)

    def window_of(self, layer: int) -> int | None:
        """Tokens that a layer sees, or None for all."""
        return None if (layer + 1) % self.window_pattern == 0 else self.window

    @property
    def matrix_values(self) -> int:
        """Weights in all matrices, output head included."""
        heads = 2 * self.heads + 2 * self.key_value_heads
        layer = self.width * (heads * self.head_size + 3 * self.inner)
        return self.layers * layer + self.width * self.vocabulary_size


class _Settings:
    """Looks up the family's metadata and refuses what cannot be."""

    def __init__(self, file: GgufFile) -> None:
        self._file = file
        self._values: Mapping[str, Any] = file.metadata

    def number(self, name: str, default: float | None = None) -> float:
        value = self._values.get(f"gemma3.{name}", default)
        if not isinstance(value, int | float) or not value > 0:
            raise ModelFileError(
                f"{self._file.path} says gemma3.{name} is {value}: fetch the model again."
            )
        return value

    def count(self, name: str, default: int | None = None) -> int:
        return int(self.number(name, default))

    def rows(self, tensor: str) -> int:
        info = self._file.tensors.get(tensor)
        if info is None or len(info.shape) != 2:
            raise ModelFileError(f"{self._file.path} lacks {tensor}: fetch the model again.")
        return info.shape[0]


class _Layer:
    """One block: attention and a gated feed-forward, each between two norms."""

    def __init__(
        self, file: GgufFile, config: Gemma3Config, index: int, dtype: torch.dtype
    ) -> None:
        def vector(name: str, size: int) -> Tensor:
            return load_tensor(file, f"blk.{index}.{name}.weight", (size,))

        def matrix(name: str, outputs: int, inputs: int) -> Tensor:
            return load_tensor(file, f"blk.{index}.{name}.weight", (outputs, inputs), dtype)

        width, inner, size = config.width, config.inner, config.head_size
        queries, keys = config.heads * size, config.key_value_heads * size
        parts = (("attn_q", queries), ("attn_k", keys), ("attn_v", keys))
        self._config = config
        self._index = index
        self._window = config.window_of(index)
        self._input_norm = vector("attn_norm", width)
        self._projections = PackedLinear(
            torch.cat([matrix(name, rows, width) for name, rows in parts])
        )
        self._head_norms = torch.cat(
            (
                (vector("attn_q_norm", size) * config.query_scale).expand(config.heads, -1),
                vector("attn_k_norm", size).expand(config.key_value_heads, -1),
            )
        )
        self._output = PackedLinear(matrix("attn_output", width, queries))
        self._attention_norm = vector("post_attention_norm", width)
        self._inner_norm = vector("ffn_norm", width)
        self._gate = PackedLinear(matrix("ffn_gate", inner, width))
        self._up = PackedLinear(matrix("ffn_up", inner, width))
        self._down = PackedLinear(matrix("ffn_down", width, inner))
        self._outer_norm = vector("post_ffw_norm", width)
        self._dtype = dtype

    def forward(
        self,
        x: Tensor,
        batch: Batch,
        cache: KeyValueCache,
        ropes: dict[int | None, tuple[Tensor, Tensor]],
    ) -> Tensor:
        attended = self._attend(self._norm(x, self._input_norm), batch, cache, ropes)
        x = x + self._norm_out(self._output(attended), self._attention_norm)
        entering = self._norm(x, self._inner_norm)
        fed = self._down(self._up.times(entering, self._gate.gelu(entering)))
        return x + self._norm_out(fed, self._outer_norm)

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        return torch.rms_norm(x, weight.shape, weight, self._config.epsilon).to(self._dtype)

    def _norm_out(self, x: Tensor, weight: Tensor) -> Tensor:
        return torch.rms_norm(x.float(), weight.shape, weight, self._config.epsilon)

    def _attend(
        self,
        x: Tensor,
        batch: Batch,
        cache: KeyValueCache,
        ropes: dict[int | None, tuple[Tensor, Tensor]],
    ) -> Tensor:
        config = self._config
        turned = config.heads + config.key_value_heads
        heads = self._projections(x).float().view(len(x), -1, config.head_size)
        normed = torch.rms_norm(heads[:, :turned], (config.head_size,), None, config.epsilon)
        normed = rotate(normed * self._head_norms, ropes[self._window])
        queries, keys = normed[:, : config.heads], normed[:, config.heads :]
        cache.write(self._index, keys, heads[:, turned:], batch.slots)
        out = torch.zeros(len(x), config.heads, config.head_size, dtype=self._dtype)
        for tile in batch.tiles:
            rows = slice(tile.start, tile.stop)
            out[rows] = attend(queries[rows], tile, self._window, cache, self._index)
        return out.view(len(x), -1)


class Gemma3:
    """A Gemma 3 model in memory.

    Args:
        file: the open model file; stays mapped, since embeddings are read from it.
        dtype: form of the weights, bfloat16 or float32.
        context_length: longest sequence that will be run, in tokens.

    Raises:
        ModelFileError: the file lacks something or contradicts itself.
    """

    def __init__(self, file: GgufFile, dtype: torch.dtype, context_length: int) -> None:
        config = Gemma3Config.read(file)
        self.shape = self.measure(file, dtype)
        self.dtype = dtype
        self._config = config
        self._embedding = Embedding(file, _EMBEDDING)
        self._layers = [_Layer(file, config, index, dtype) for index in range(config.layers)]
        self._last_norm = load_tensor(file, "output_norm.weight", (config.width,))
        head = _HEAD if _HEAD in file.tensors else _EMBEDDING
        size = (config.vocabulary_size, config.width)
        self._head = PackedLinear(load_tensor(file, head, size, dtype))
        self._head_rows = Embedding(file, head)
        local = Rope(config.head_size, config.local_rope_base, context_length)
        whole = Rope(config.head_size, config.rope_base, context_length, config.rope_scale)
        self._ropes: dict[int | None, Rope] = {config.window: local, None: whole}

    @staticmethod
    def measure(file: GgufFile, dtype: torch.dtype) -> Shape:
        """Sizes and the memory that loading takes, from the header alone."""
        config = Gemma3Config.read(file)
        return Shape(
            layers=config.layers,
            heads=config.heads,
            key_value_heads=config.key_value_heads,
            head_size=config.head_size,
            vocabulary_size=config.vocabulary_size,
            context_length=config.context_length,
            weight_bytes=config.matrix_values * dtype.itemsize,
            loading_bytes=config.vocabulary_size * config.width * dtype.itemsize,
        )

    def forward(self, batch: Batch, cache: KeyValueCache) -> Tensor:
        x = self._embedding.rows(batch.tokens) * math.sqrt(self._config.width)
        ropes = {window: rope.at(batch.positions) for window, rope in self._ropes.items()}
        for layer in self._layers:
            x = layer.forward(x, batch, cache, ropes)
        norm = self._last_norm
        return torch.rms_norm(x[batch.wanted], norm.shape, norm, self._config.epsilon)

    def logits(self, hidden: Tensor) -> Tensor:
        scores = self._head(hidden.to(self.dtype)).float()
        return scores if self.dtype is torch.float32 else self._refine(scores, hidden)

    def _refine(self, scores: Tensor, hidden: Tensor) -> Tensor:
        """Compute the best scores again in float32.

        The head's output is rounded to bfloat16, where a score near 20 moves in steps of 0.125:
        tokens that differ would tie. The likeliest few decide what is drawn, so they are exact.
        """
        best = scores.topk(min(_REFINED, scores.shape[1])).indices
        rows = self._head_rows.rows(best.flatten().numpy()).view(*best.shape, -1)
        return scores.scatter_(1, best, (rows * hidden[:, None]).sum(-1))
