"""Runs a described decoder with torch operators: where there is no compiler, and on accelerators.

The residual stream, norms, rope and attention are float32; weights and the cache are in the chosen
form. See docs/decisions/0005 for why a row's bits do not depend on what runs beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor

from ponant.engine.cache import PAGE_TOKENS
from ponant.engine.decoder import Batch, Floats, Indices, Shape, best_of
from ponant.engine.models.spec import DecoderSpec, Experts, FeedForward, LayerSpec, Linear, Matrix
from ponant.engine.torch_attention import KeyValueCache, Tile, attend, tiles
from ponant.engine.torch_operators import Feed, Product, Rotation

Form = Literal["bf16", "fp32"]
TYPES: Final[dict[Form, torch.dtype]] = {"bf16": torch.bfloat16, "fp32": torch.float32}
_REFINED: Final = 64


def measure(spec: DecoderSpec, form: Form) -> int:
    """Bytes that the weights will take, from their shapes alone; the embedding stays in its file
    unless it is the head as well."""
    values = spec.head.outputs * spec.head.inputs
    for layer in spec.layers:
        values += sum(matrix.outputs * matrix.inputs for matrix in _matrices(layer))
    return values * TYPES[form].itemsize


@dataclass(frozen=True, slots=True)
class _Step:
    """A batch as the layers see it.

    Attributes:
        positions: of each row in its sequence.
        slots: where each row's keys and values go.
        tiles: runs of rows that attend together.
        rotations: the model's ropes at these positions.
    """

    positions: Tensor
    slots: Tensor
    tiles: Sequence[Tile]
    rotations: Sequence[Rotation]


class TorchDecoder:
    """A model and its cache; implements `ponant.engine.decoder.Decoder`.

    Args:
        spec: what to load; its matrices are read here, but for the embedding, whose rows are
            expanded as tokens ask for them.
        form: of weights and cache.
        context_length: longest sequence that will be run, in tokens.
        pages: pages of the cache, without page 0.
        device: where to compute.

    Raises:
        ModelFileError: the file holds something that cannot be read.
    """

    def __init__(
        self,
        spec: DecoderSpec,
        *,
        form: Form = "bf16",
        context_length: int,
        pages: int,
        device: str = "cpu",
    ) -> None:
        self._spec = spec
        self._form: Form = form
        self._dtype = TYPES[form]
        self._device = torch.device(device)
        self.shape = Shape(
            layers=len(spec.layers),
            width=spec.width,
            heads=spec.heads,
            key_value_heads=spec.key_value_heads,
            head_size=spec.head_size,
            vocabulary_size=spec.vocabulary_size,
            context_length=min(context_length, spec.context_length),
        )
        self._layers = [
            _Layer(spec, index, self._dtype, self._device) for index in range(len(spec.layers))
        ]
        self._norm = torch.from_numpy(spec.norm).to(self._device)
        self._head = Product(Linear(spec.head), dtype=self._dtype, device=self._device)
        self._cache = KeyValueCache(
            len(spec.layers),
            spec.key_value_heads,
            pages + 1,
            spec.head_size,
            self._dtype,
            self._device,
        )

    @property
    def form(self) -> str:
        return self._form

    @property
    def resident_bytes(self) -> int:
        return measure(self._spec, self._form) + self._cache.nbytes

    @torch.inference_mode()
    def forward(self, batch: Batch) -> Floats:
        """See `Decoder.forward`.

        Raises:
            FloatingPointError: a hidden state is not a number.
        """
        embedded = _rows(self._spec.embedding, batch.tokens)
        x = torch.from_numpy(embedded).to(self._device) * self._spec.embedding_scale
        step = self._step(batch)
        for layer in self._layers:
            x = layer.forward(x, step, self._cache)
        wanted = torch.from_numpy(batch.wanted.astype(np.int64)).to(self._device)
        hidden = torch.rms_norm(x[wanted], self._norm.shape, self._norm, self._spec.epsilon)
        if not hidden.isfinite().all():
            raise FloatingPointError("the model computed a hidden state that is not a number")
        return hidden.cpu().numpy()

    @torch.inference_mode()
    def logits(self, hidden: Floats) -> Floats:
        """See `Decoder.logits`."""
        scores = self._head(torch.from_numpy(hidden).to(self._device)).cpu().numpy()
        return scores if self._dtype is torch.float32 else self._refine(scores, hidden)

    def best(self, hidden: Floats) -> Indices:
        """See `Decoder.best`."""
        return best_of(self.logits(hidden))

    def read_page(self, page: int) -> bytes:
        """See `Decoder.read_page`."""
        return self._cache.read_page(page)

    def write_page(self, page: int, data: bytes) -> None:
        """See `Decoder.write_page`."""
        self._cache.write_page(page, data)

    def close(self) -> None:
        """See `Decoder.close`."""
        self._layers.clear()
        del self._head, self._cache

    def _step(self, batch: Batch) -> _Step:
        counts = np.diff(batch.starts)
        offsets = np.arange(len(batch.tokens)) - np.repeat(batch.starts[:-1], counts)
        positions = np.repeat(batch.positions, counts) + offsets
        pages = np.repeat(batch.page_starts[:-1], counts) + positions // PAGE_TOKENS
        slots = batch.pages[pages].astype(np.int64) * PAGE_TOKENS + positions % PAGE_TOKENS
        at = torch.from_numpy(positions).to(self._device)
        return _Step(
            positions=at,
            slots=torch.from_numpy(slots).to(self._device),
            tiles=list(tiles(batch, self._device)),
            rotations=[Rotation(rope, at) for rope in self._spec.ropes],
        )

    def _refine(self, scores: Floats, hidden: Floats) -> Floats:
        """Compute the best scores again in float32.

        The head's output is rounded to bfloat16, where a score near 20 moves in steps of 0.125:
        tokens that differ would tie. The likeliest few decide what is drawn, so they are exact.
        """
        count = min(_REFINED, scores.shape[1])
        best = np.argpartition(scores, -count, axis=1)[:, -count:]
        for row, tokens in enumerate(best):
            scores[row, tokens] = (_rows(self._spec.head, tokens) * hidden[row]).sum(-1)
        return scores


class _Layer:
    """One block in memory; see `LayerSpec`."""

    def __init__(
        self, spec: DecoderSpec, index: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        def vector(values: Floats | None) -> Tensor | None:
            return None if values is None else torch.from_numpy(values).to(device)

        layer = spec.layers[index]
        attention = layer.attention
        parts = (attention.query, attention.key, attention.value)
        self._spec = spec
        self._index = index
        self._attention = attention
        self._projections = Product(*parts, dtype=dtype, device=device)
        self._output = Product(attention.output, dtype=dtype, device=device)
        self._query_norm = vector(attention.query_norm)
        self._key_norm = vector(attention.key_norm)
        self._attention_norm = vector(layer.attention_norm)
        self._attention_post_norm = vector(layer.attention_post_norm)
        self._feed_norm = vector(layer.feed_forward_norm)
        self._feed_post_norm = vector(layer.feed_forward_post_norm)
        self._feed = _feed(layer.feed_forward, dtype, device)

    def forward(self, x: Tensor, step: _Step, cache: KeyValueCache) -> Tensor:
        attended = self._attend(self._normed(x, self._attention_norm), step, cache)
        x = x + self._normed(attended, self._attention_post_norm)
        fed = self._feed(self._normed(x, self._feed_norm))
        return x + self._normed(fed, self._feed_post_norm)

    def _normed(self, x: Tensor, weight: Tensor | None) -> Tensor:
        if weight is None:
            return x
        return torch.rms_norm(x, weight.shape, weight, self._spec.epsilon)

    def _attend(self, x: Tensor, step: _Step, cache: KeyValueCache) -> Tensor:
        spec, attention = self._spec, self._attention
        heads = self._projections(x).view(len(x), -1, spec.head_size)
        sizes = [spec.heads, spec.key_value_heads, spec.key_value_heads]
        queries, keys, values = torch.split(heads, sizes, dim=1)
        rotate = step.rotations[attention.rope]
        queries = rotate(self._normed(queries, self._query_norm)) * attention.query_scale
        if attention.temperature is not None:
            queries = queries * _temperature(step.positions, *attention.temperature)
        cache.write(self._index, rotate(self._normed(keys, self._key_norm)), values, step.slots)
        out = torch.empty_like(queries)
        for tile in step.tiles:
            rows = slice(tile.start, tile.stop)
            out[rows] = attend(queries[rows], tile, attention.window, cache, self._index)
        return self._output(out.view(len(x), -1))


class _Mixture:
    """A sparse mixture of experts in memory; see `models.spec.Experts`."""

    def __init__(self, spec: Experts, *, dtype: torch.dtype, device: torch.device) -> None:
        # Rounding here would send rows to other experts.
        self._router = Product(spec.router, dtype=torch.float32, device=device)
        self._experts = [Feed(expert, dtype=dtype, device=device) for expert in spec.experts]
        self._chosen = spec.chosen

    def __call__(self, x: Tensor) -> Tensor:
        best = self._router(x).topk(self._chosen, dim=-1)
        shares = best.values.double().softmax(-1).float()
        parts = x.new_empty(len(x), self._chosen, x.shape[-1])
        for index, expert in enumerate(self._experts):
            rows, ranks = (best.indices == index).nonzero(as_tuple=True)
            if len(rows):
                parts[rows, ranks] = expert(x[rows]) * shares[rows, ranks, None]
        total = parts[:, 0]
        for rank in range(1, self._chosen):  # one after another: the order of a sum is part of it
            total = total + parts[:, rank]
        return total


def _feed(spec: FeedForward | Experts, dtype: torch.dtype, device: torch.device) -> Feed | _Mixture:
    if isinstance(spec, Experts):
        return _Mixture(spec, dtype=dtype, device=device)
    return Feed(spec, dtype=dtype, device=device)


def _temperature(positions: Tensor, beta: float, length: int) -> Tensor:
    """Factor on queries, shape (rows, 1, 1); see `Attention.temperature`."""
    grown = 1 + beta * torch.log1p((positions // length).double())
    return grown.float()[:, None, None]


def _rows(matrix: Matrix, indices: Indices) -> Floats:
    """Some rows of a matrix, expanded one by one."""
    return np.concatenate([matrix.values(index, index + 1) for index in indices.tolist()])


def _matrices(layer: LayerSpec) -> Sequence[Matrix]:
    """Every matrix of a layer."""
    attention, feed = layer.attention, layer.feed_forward
    linears = [attention.query, attention.key, attention.value, attention.output]
    if isinstance(feed, Experts):
        linears.append(feed.router)
    for part in feed.experts if isinstance(feed, Experts) else (feed,):
        linears += [part.up, part.down, *([part.gate] if part.gate else [])]
    return [linear.matrix for linear in linears]
