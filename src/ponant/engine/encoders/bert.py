"""Runs a BERT encoder on NumPy's BLAS: where kernels are not compiled, and as their reference."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from ponant.engine.encoders.functions import attend, gelu, layer_norm
from ponant.engine.encoders.sequences import Sequences
from ponant.engine.encoders.weights import BertWeights, Layer, Norm, rows_of
from ponant.engine.models.spec import Floats, Linear

_GROUP_TOKENS = 512  # enough rows for full BLAS speed; the widest activation stays at 3 MB


@dataclass(frozen=True, slots=True)
class _Affine:
    """A map expanded to float32; the weight has shape (out, in)."""

    weight: Floats
    bias: Floats

    def __call__(self, values: Floats) -> Floats:
        result: Floats = values @ self.weight.T
        result += self.bias
        return result

    @property
    def nbytes(self) -> int:
        return self.weight.nbytes + self.bias.nbytes


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer with its three attention maps as one, the softmax scale folded into the query."""

    qkv: _Affine
    output: _Affine
    up: _Affine
    down: _Affine
    attention_norm: Norm
    output_norm: Norm

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in (self.qkv, self.output, self.up, self.down))


class NumpyBert:
    """States of sequences, pooled; an `Executor`.

    Sequences are laid end to end without padding, so a vector does not depend on what else is in
    its batch beyond float32 rounding. Groups of sequences run on threads of their own with a
    single-threaded BLAS each: element-wise work is spread too, and BLAS's own pool, which spins
    while it waits, stays asleep.
    """

    def __init__(self, weights: BertWeights, threads: int) -> None:
        self._weights = weights
        self._layers = [_expanded(layer, weights.heads) for layer in weights.layers]
        self._threads = max(1, threads)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="encoder")
        self._blas = ThreadpoolController()

    @property
    def resident_bytes(self) -> int:
        """Memory that the weights take, the word table at its size on disk."""
        weights = self._weights
        layers = sum(layer.nbytes for layer in self._layers)
        return weights.words.raw().nbytes + weights.positions.nbytes + layers

    def pooled(self, sequences: Sequences) -> Floats:
        vectors = np.empty((len(sequences), self._weights.hidden), dtype=np.float32)
        groups = list(_groups(sequences.lengths, self._threads))
        with self._blas.limit(limits=1, user_api="blas"):
            results = self._pool.map(self._group, map(sequences.some, groups))
            for group, rows in zip(groups, results, strict=True):
                vectors[group] = rows
        return vectors

    def _group(self, sequences: Sequences) -> Floats:
        states = self._forward(sequences)
        if sequences.pooling == "cls":
            return states[sequences.starts[:-1]]
        means: Floats = np.add.reduceat(states, sequences.starts[:-1], axis=0)
        means /= sequences.lengths[:, None].astype(np.float32)
        return means

    def _forward(self, sequences: Sequences) -> Floats:
        """Last hidden states of shape (tokens, hidden) of sequences that lie end to end."""
        weights = self._weights
        bounds = list(pairwise(sequences.starts.tolist()))
        states = rows_of(weights.words, sequences.tokens)
        states += weights.positions[sequences.positions()]
        states += weights.types[sequences.types(len(weights.types))]
        layer_norm(states, weights.embedding_norm, weights.epsilon)
        context = np.empty_like(states)
        for layer in self._layers:
            qkv = layer.qkv(states)
            for start, end in bounds:
                attend(qkv[start:end], weights.heads, context[start:end])
            states += layer.output(context)
            layer_norm(states, layer.attention_norm, weights.epsilon)
            inner = layer.up(states)
            gelu(inner)
            states += layer.down(inner)
            layer_norm(states, layer.output_norm, weights.epsilon)
        return states


def _groups(lengths: NDArray[np.int32], threads: int) -> Iterator[list[int]]:
    """Indices of sequences that run together, about evenly spread over the threads."""
    budget = min(_GROUP_TOKENS, -(-int(lengths.sum()) // threads))
    group: list[int] = []
    tokens = 0
    for index in np.argsort(-lengths, kind="stable").tolist():
        if group and tokens + lengths[index] > budget:
            yield group
            group, tokens = [], 0
        group.append(index)
        tokens += int(lengths[index])
    if group:
        yield group


def _expanded(layer: Layer, heads: int) -> _Layer:
    return _Layer(
        qkv=_fused([layer.query, layer.key, layer.value], heads),
        output=_affine(layer.output),
        up=_affine(layer.up),
        down=_affine(layer.down),
        attention_norm=layer.attention_norm,
        output_norm=layer.output_norm,
    )


def _fused(maps: Sequence[Linear], heads: int) -> _Affine:
    query, key, value = map(_affine, maps)
    scale = np.float32((query.weight.shape[0] // heads) ** -0.5)
    return _Affine(
        np.concatenate([query.weight * scale, key.weight, value.weight]),
        np.concatenate([query.bias * scale, key.bias, value.bias]),
    )


def _affine(linear: Linear) -> _Affine:
    weight = linear.matrix.values()
    zeros = np.zeros(linear.matrix.outputs, np.float32)
    return _Affine(weight, zeros if linear.bias is None else linear.bias)
