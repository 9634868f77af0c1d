"""A BERT encoder that embeds sentences, computed by NumPy's BLAS."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from ponant.engine.encoders.functions import attend, gelu, layer_norm
from ponant.engine.encoders.weights import BertWeights, Floats, Linear

_GROUP_TOKENS = 512  # enough rows for full BLAS speed; the widest activation stays at 3 MB


class BertEncoder:
    """Embeds batches of token ids; an `Encoder` in the sense of the engine's port.

    Sequences are laid end to end without padding, so a vector does not depend on what else is in
    its batch beyond float32 rounding. Groups of sequences run on threads of their own with a
    single-threaded BLAS each: element-wise work is spread too, and BLAS's own pool, which spins
    while it waits, stays asleep.
    """

    def __init__(self, weights: BertWeights, threads: int) -> None:
        self._weights = weights
        self._threads = max(1, threads)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="encoder")
        self._blas = ThreadpoolController()

    @property
    def dimension(self) -> int:
        _, hidden = self._weights.words.shape
        return hidden

    @property
    def max_tokens(self) -> int:
        return len(self._weights.positions)

    @property
    def resident_bytes(self) -> int:
        """Memory that the weights take, the word table at its size on disk where it is mapped."""
        weights = self._weights
        layers = sum(
            linear.weight.nbytes + linear.bias.nbytes
            for layer in weights.layers
            for linear in (layer.qkv, layer.output, layer.up, layer.down)
        )
        return weights.words.resident_bytes + weights.positions.nbytes + layers

    def encode(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Embed token sequences, special tokens included.

        Returns:
            Array of shape (len(batch), dimension), rows of length 1.

        Raises:
            ValueError: a sequence is empty, longer than `max_tokens`, or has an unknown id.
        """
        sequences = [self._checked(sequence) for sequence in batch]
        vectors = np.empty((len(sequences), self.dimension), dtype=np.float32)
        groups = list(self._groups(sequences))
        with self._blas.limit(limits=1, user_api="blas"):
            results = self._pool.map(self._embed, ([sequences[i] for i in g] for g in groups))
            for group, rows in zip(groups, results, strict=True):
                vectors[group] = rows
        return vectors

    def _checked(self, sequence: Sequence[int]) -> NDArray[np.int64]:
        ids = np.asarray(sequence, dtype=np.int64)
        if not 0 < ids.size <= self.max_tokens:
            raise ValueError(
                f"A sequence has {ids.size} tokens; this model takes 1 to {self.max_tokens}."
            )
        if ids.min() < 0 or ids.max() >= self._weights.words.shape[0]:
            raise ValueError("A sequence has a token id outside the vocabulary.")
        return ids

    def _groups(self, sequences: Sequence[NDArray[np.int64]]) -> Iterator[list[int]]:
        """Indices of sequences that run together, about evenly spread over the threads."""
        total = sum(ids.size for ids in sequences)
        budget = min(_GROUP_TOKENS, -(-total // self._threads))
        group: list[int] = []
        tokens = 0
        for index in sorted(range(len(sequences)), key=lambda i: -sequences[i].size):
            if group and tokens + sequences[index].size > budget:
                yield group
                group, tokens = [], 0
            group.append(index)
            tokens += sequences[index].size
        if group:
            yield group

    def _embed(self, sequences: Sequence[NDArray[np.int64]]) -> Floats:
        lengths = [ids.size for ids in sequences]
        bounds = np.concatenate([[0], np.cumsum(lengths)])
        states = self._forward(np.concatenate(sequences), bounds)
        if self._weights.pooling == "cls":
            pooled = states[bounds[:-1]]
        else:
            pooled = np.add.reduceat(states, bounds[:-1], axis=0)
        # the mean's divisor would cancel in the division by the length
        norms = np.linalg.norm(pooled, axis=1, keepdims=True)
        unit: Floats = pooled / np.maximum(norms, np.float32(1e-12))
        return unit

    def _forward(self, ids: NDArray[np.int64], bounds: NDArray[np.int64]) -> Floats:
        """Last hidden states of shape (tokens, hidden) of sequences that lie end to end."""
        weights = self._weights
        states = weights.words.rows(ids)
        for start, end in pairwise(bounds):
            states[start:end] += weights.positions[: end - start]
        layer_norm(states, weights.embedding_norm, weights.epsilon)
        context = np.empty_like(states)
        for layer in weights.layers:
            qkv = _affine(states, layer.qkv)
            for start, end in pairwise(bounds):
                attend(qkv[start:end], weights.heads, context[start:end])
            states += _affine(context, layer.output)
            layer_norm(states, layer.attention_norm, weights.epsilon)
            inner = _affine(states, layer.up)
            gelu(inner)
            states += _affine(inner, layer.down)
            layer_norm(states, layer.output_norm, weights.epsilon)
        return states


def _affine(values: Floats, linear: Linear) -> Floats:
    result: Floats = values @ linear.weight.T
    result += linear.bias
    return result
