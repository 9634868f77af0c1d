"""Runs a BERT encoder on the compiled kernels."""

import threading
import weakref
from collections.abc import Iterator
from ctypes import byref
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ponant.engine.encoders.sequences import Sequences
from ponant.engine.encoders.weights import BertWeights, Layer, Norm
from ponant.engine.errors import ModelFileError
from ponant.engine.kernels.library import (
    CEncoder,
    CEncoderBatch,
    CEncoderLayer,
    CLayerNorm,
    CMatrix,
    Form,
    library,
)
from ponant.engine.kernels.memory import Slabs
from ponant.engine.kernels.packing import PackedMatrix, Pool, pack
from ponant.engine.models.spec import Floats, Linear

_GROUP_TOKENS: Final = 1024  # of one call: the widest activation stays in the last cache
_WORDS: Final = {"F32": 0, "F16": 1, "Q4_0": 2, "BF16": 30}
_POOLING: Final = {"mean": 0, "cls": 1}
_NO_MEMORY: Final = -1


def runs(weights: BertWeights) -> bool:
    """Whether the kernels know the format of its word table."""
    return weights.words.format in _WORDS


def default_form(weights: BertWeights) -> Form | None:
    """How its matrices stand in memory: a quantised file's as they are, others as int8.

    Int8 with a scale per 32 weights keeps a mean cosine of 0.9997 to float32 on MiniLM and is the
    fastest; bf16 keeps 0.99999.
    """
    quantised = weights.layers[0].up.matrix.format not in {"F32", "F16", "BF16"}
    return None if quantised else Form.I8


class KernelBert:
    """States of sequences, pooled; an `Executor`.

    A sequence's bits do not depend on what else is in its batch.

    Args:
        weights: the encoder; its word table stays where it is.
        threads: most processor cores to compute on at once.
        form: how its matrices stand in memory; None keeps the file's own form.
    """

    def __init__(self, weights: BertWeights, threads: int, form: Form | None) -> None:
        self._weights = weights
        self._pool = Pool(threads)
        self._slabs = Slabs()
        self._packed: list[PackedMatrix] = []
        self._kept: list[NDArray[np.float32]] = []
        self._words = np.ascontiguousarray(weights.words.raw())
        self._layers = (CEncoderLayer * len(weights.layers))(
            *(self._layer(layer, form) for layer in weights.layers)
        )
        self._model = self._described()
        self._workspace = library().pn_encoder_workspace_create()
        weakref.finalize(self, library().pn_encoder_workspace_destroy, self._workspace)
        self._turn = threading.Lock()  # a workspace serves one call at a time

    @property
    def resident_bytes(self) -> int:
        """Memory that the weights take, the word table at its size on disk."""
        packed = sum(matrix.bytes for matrix in self._packed)
        return packed + self._words.nbytes + sum(values.nbytes for values in self._kept)

    def pooled(self, sequences: Sequences) -> Floats:
        vectors = np.empty((len(sequences), self._weights.hidden), np.float32)
        order = np.argsort(sequences.lengths, kind="stable")
        for group in _groups(sequences.lengths, order):
            vectors[group] = self._run(sequences.some(group))
        return vectors

    def _run(self, sequences: Sequences) -> Floats:
        tokens, starts, seconds = (
            np.ascontiguousarray(values, np.int32)
            for values in (sequences.tokens, sequences.starts, sequences.seconds)
        )
        pooled = np.empty((len(sequences), self._weights.hidden), np.float32)
        batch = CEncoderBatch(
            len(sequences),
            _POOLING[sequences.pooling],
            tokens.ctypes.data,
            starts.ctypes.data,
            seconds.ctypes.data,
        )
        with self._turn:
            result = library().pn_encode(
                self._pool.pointer,
                self._workspace,
                byref(self._model),
                byref(batch),
                pooled.ctypes.data,
            )
        if result == _NO_MEMORY:
            raise MemoryError("There is no memory for the states of these sequences.")
        if result:
            raise ModelFileError("The model gives values that are no numbers: its file is damaged.")
        return pooled

    def _described(self) -> CEncoder:
        weights = self._weights
        return CEncoder(
            width=weights.hidden,
            heads=weights.heads,
            layer_count=len(weights.layers),
            type_count=len(weights.types),
            epsilon=weights.epsilon,
            words_type=_WORDS[weights.words.format],
            words=self._words.ctypes.data,
            positions=self._address(weights.positions),
            types=self._address(weights.types),
            embedding_norm=self._norm(weights.embedding_norm),
            layers=self._layers,
        )

    def _layer(self, layer: Layer, form: Form | None) -> CEncoderLayer:
        return CEncoderLayer(
            *(self._matrix(linear, form) for linear in layer.maps),
            self._norm(layer.attention_norm),
            self._norm(layer.output_norm),
        )

    def _matrix(self, linear: Linear, form: Form | None) -> CMatrix:
        packed = pack(linear.matrix, form, self._pool, bias=linear.bias, slabs=self._slabs)
        self._packed.append(packed)
        return packed.c

    def _norm(self, norm: Norm) -> CLayerNorm:
        return CLayerNorm(self._address(norm.weight), self._address(norm.bias))

    def _address(self, values: Floats) -> int:
        kept = np.ascontiguousarray(values, np.float32)
        self._kept.append(kept)
        return int(kept.ctypes.data)


def _groups(lengths: NDArray[np.int32], order: NDArray[np.intp]) -> Iterator[list[int]]:
    """Indices of sequences that run together."""
    group: list[int] = []
    tokens = 0
    for index in order.tolist():
        if group and tokens + int(lengths[index]) > _GROUP_TOKENS:
            yield group
            group, tokens = [], 0
        group.append(index)
        tokens += int(lengths[index])
    if group:
        yield group
