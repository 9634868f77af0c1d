"""Brings a described decoder's weights into memory, and describes it to the kernels in C."""

import ctypes
import errno
from collections.abc import Callable, Iterator
from typing import Final, Literal

import numpy as np

from ponant.engine.kernels.library import CFeedForward, CLayer, CMatrix, CModel, CRope, Form
from ponant.engine.kernels.memory import Slabs
from ponant.engine.kernels.packing import LOSSLESS, PackedMatrix, Pool, pack, packed_size
from ponant.engine.models.spec import (
    Attention,
    DecoderSpec,
    Experts,
    FeedForward,
    Floats,
    LayerSpec,
    Linear,
    Matrix,
)

WeightForm = Literal["packed", "bf16", "fp32", "int8"]
"""``packed`` keeps the file's own blocks, and makes bf16 of formats that no form holds; the others
convert. Only ``fp32`` has a float32 cache."""

Progress = Callable[[int, int], None]
"""Called with the matrices packed so far and all of them."""

_FORMS: Final[dict[str, Form | None]] = {
    "packed": None,
    "bf16": Form.BF16,
    "fp32": Form.F32,
    "int8": Form.I8,
}
_ACTIVATIONS: Final = {"silu": 0, "gelu": 1, "xielu": 2}


def measure(spec: DecoderSpec, form: WeightForm) -> int:
    """Bytes that the weights will take, from their shapes alone."""
    return sum(
        packed_size(packed, matrix.outputs, matrix.inputs)
        for matrix, packed in _matrices(spec, form)
    )


class Weights:
    """A spec's matrices packed, its vectors kept, and the C description of both.

    Raises:
        MemoryError: there is no room for them.
    """

    def __init__(
        self, spec: DecoderSpec, form: WeightForm, pool: Pool, progress: Progress | None = None
    ) -> None:
        self._forms = {id(matrix): packed for matrix, packed in _matrices(spec, form)}
        self._pool = pool
        self._progress = progress
        self._slabs = Slabs()
        self._packed: dict[int, PackedMatrix] = {}
        self._vectors: list[Floats] = []
        self._parts: list[ctypes.Array[CFeedForward]] = []
        self._layers = (CLayer * len(spec.layers))(*map(self._layer, spec.layers))
        self._ropes = (CRope * len(spec.ropes))(
            *(
                CRope(
                    self._vector(rope.frequencies),
                    len(rope.frequencies),
                    rope.interleaved,
                    rope.factor,
                    0,
                )
                for rope in spec.ropes
            )
        )
        self.model = CModel(
            width=spec.width,
            heads=spec.heads,
            key_value_heads=spec.key_value_heads,
            head_size=spec.head_size,
            vocabulary=spec.vocabulary_size,
            layer_count=len(spec.layers),
            rope_count=len(spec.ropes),
            epsilon=spec.epsilon,
            embedding_scale=spec.embedding_scale,
            embedding=self._matrix(spec.embedding),
            head=self._matrix(spec.head),
            norm=self._vector(spec.norm),
            layers=self._layers,
            ropes=self._ropes,
        )

    @property
    def nbytes(self) -> int:
        matrices = sum(packed.bytes for packed in self._packed.values())
        return matrices + sum(vector.nbytes for vector in self._vectors)

    def close(self) -> None:
        self.model = CModel()
        self._packed.clear()

    def _layer(self, spec: LayerSpec) -> CLayer:
        layer = CLayer(
            attention_norm=self._vector(spec.attention_norm),
            attention_post_norm=self._vector(spec.attention_post_norm),
            feed_forward_norm=self._vector(spec.feed_forward_norm),
            feed_forward_post_norm=self._vector(spec.feed_forward_post_norm),
        )
        self._attention(layer, spec.attention)
        self._feed_forward(layer, spec.feed_forward)
        return layer

    def _attention(self, layer: CLayer, spec: Attention) -> None:
        layer.query_norm = self._vector(spec.query_norm)
        layer.key_norm = self._vector(spec.key_norm)
        layer.query = self._linear(spec.query)
        layer.key = self._linear(spec.key)
        layer.value = self._linear(spec.value)
        layer.output = self._linear(spec.output)
        layer.query_scale = spec.query_scale
        layer.window = spec.window or 0
        layer.rope = spec.rope
        if spec.temperature is not None:
            layer.temperature_beta, layer.temperature_length = spec.temperature

    def _feed_forward(self, layer: CLayer, spec: FeedForward | Experts) -> None:
        experts = spec.experts if isinstance(spec, Experts) else (spec,)
        if isinstance(spec, Experts):
            layer.experts = len(experts)
            layer.experts_chosen = spec.chosen
            layer.router = self._linear(spec.router)
        layer.activation = _ACTIVATIONS[experts[0].activation]
        if experts[0].xielu is not None:
            layer.xielu = (ctypes.c_float * 4)(*experts[0].xielu)
        parts = (CFeedForward * len(experts))(*map(self._part, experts))
        self._parts.append(parts)
        layer.parts = parts

    def _part(self, spec: FeedForward) -> CFeedForward:
        gate = CMatrix() if spec.gate is None else self._linear(spec.gate)
        return CFeedForward(gate, self._linear(spec.up), self._linear(spec.down))

    def _linear(self, spec: Linear) -> CMatrix:
        packed = self._matrix(spec.matrix)
        return CMatrix(
            packed.form,
            packed.outputs,
            packed.inputs,
            0,
            packed.data,
            self._vector(spec.bias),
        )

    def _matrix(self, matrix: Matrix) -> CMatrix:
        known = self._packed.get(id(matrix))
        if known is None:
            known = self._pack(matrix)
            self._packed[id(matrix)] = known
            if self._progress is not None:
                self._progress(len(self._packed), len(self._forms))
        return known.c

    def _pack(self, matrix: Matrix) -> PackedMatrix:
        try:
            return pack(matrix, self._forms[id(matrix)], self._pool, slabs=self._slabs)
        except OSError as e:
            if e.errno != errno.ENOMEM:
                raise
            raise MemoryError("there is no room for a matrix") from e  # mapped, not allocated

    def _vector(self, values: Floats | None) -> int | None:
        if values is None:
            return None
        self._vectors.append(np.ascontiguousarray(values, np.float32))
        return self._vectors[-1].ctypes.data


def _matrices(spec: DecoderSpec, form: WeightForm) -> Iterator[tuple[Matrix, Form]]:
    """Every matrix once, with the form that it is packed in; a tied head is its embedding."""

    def chosen(matrix: Matrix) -> tuple[Matrix, Form]:
        wanted = _FORMS[form]
        return matrix, _lossless(matrix) if wanted is None else wanted

    head, in_form = chosen(spec.head)
    yield head, Form.I8P if form == "packed" and head.format == "Q8_0" else in_form
    if spec.head is not spec.embedding:
        yield chosen(spec.embedding)
    for layer in spec.layers:
        attention, feed_forward = layer.attention, layer.feed_forward
        for linear in (attention.query, attention.key, attention.value, attention.output):
            yield chosen(linear.matrix)
        parts: tuple[FeedForward, ...] = (
            feed_forward.experts if isinstance(feed_forward, Experts) else (feed_forward,)
        )
        if isinstance(feed_forward, Experts):
            # Small, and a wrong expert is a large error: neither it nor its rows are rounded.
            yield feed_forward.router.matrix, Form.F32
        for part in parts:
            yield from (chosen(x.matrix) for x in (part.gate, part.up, part.down) if x is not None)


def _lossless(matrix: Matrix) -> Form:
    return LOSSLESS.get(matrix.format, Form.BF16)
