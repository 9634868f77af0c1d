"""Runs a described decoder on the compiled kernels: packs its weights once, owns its cache."""

import ctypes
import mmap
from collections.abc import Callable, Iterator
from typing import Final, Literal

import numpy as np

from ponant.engine.decoder import Batch, Floats, Shape
from ponant.engine.errors import ModelTooLarge
from ponant.engine.kernels.library import (
    CBatch,
    CCache,
    CFeedForward,
    CLayer,
    CMatrix,
    CModel,
    CRope,
    Form,
    library,
)
from ponant.engine.kernels.packing import LOSSLESS, PackedMatrix, Pool, pack, packed_size
from ponant.engine.models.spec import (
    Attention,
    DecoderSpec,
    Experts,
    FeedForward,
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
_OUT_OF_MEMORY: Final = -1
_NOT_A_NUMBER: Final = -2
_OUTSIDE: Final = -3


def measure(spec: DecoderSpec, form: WeightForm) -> int:
    """Bytes that the weights will take, from their shapes alone."""
    return sum(
        packed_size(_form_of(matrix, _FORMS[form]), matrix.outputs, matrix.inputs)
        for matrix in _matrices(spec)
    )


def shape_of(spec: DecoderSpec, context_length: int) -> Shape:
    """What the cache and the engine need to know of a model."""
    return Shape(
        layers=len(spec.layers),
        width=spec.width,
        heads=spec.heads,
        key_value_heads=spec.key_value_heads,
        head_size=spec.head_size,
        vocabulary_size=spec.vocabulary_size,
        context_length=context_length,
    )


class KernelDecoder:
    """A model in memory with its cache; implements `ponant.engine.decoder.Decoder`.

    It serves one call at a time.

    Args:
        spec: the model; its files are not needed any more once this returns.
        form: how the weights stand in memory.
        context_length: longest sequence that will be run, in tokens.
        pages: pages of the cache; their memory is taken when they are first used.
        threads: that share each product, the calling one among them.
        progress: told of every matrix that is packed.

    Raises:
        ModelTooLarge: there is not enough memory.
        OSError: the kernels were not compiled.
    """

    def __init__(
        self,
        spec: DecoderSpec,
        *,
        form: WeightForm,
        context_length: int,
        pages: int,
        threads: int,
        progress: Progress | None = None,
    ) -> None:
        self._form = form
        self._shape = shape_of(spec, context_length)
        self._library = library()
        self._pool = Pool(threads)
        try:
            self._weights = _Weights(spec, _FORMS[form], self._pool, progress)
            self._cache = _Cache(
                self._weights.model, Form.F32 if form == "fp32" else Form.BF16, pages
            )
        except MemoryError as e:
            raise ModelTooLarge(
                f"There is not enough memory for this model's weights ({measure(spec, form)} bytes)"
                f" and {pages} pages of its cache: choose a smaller form, or give it fewer pages."
            ) from e
        self._workspace = self._library.pn_workspace_create()

    @property
    def shape(self) -> Shape:
        return self._shape

    @property
    def form(self) -> str:
        return self._form

    @property
    def resident_bytes(self) -> int:
        return self._weights.nbytes + self._cache.nbytes

    @property
    def pool(self) -> int:
        """The ``pn_pool`` of the threads, for what is to run between this decoder's calls."""
        return self._pool.pointer

    def forward(self, batch: Batch) -> Floats:
        """Run a batch, writing its keys and values to its pages.

        Returns:
            Hidden states of the wanted rows after the last norm, shape (wanted, width).

        Raises:
            ValueError: a token or page does not exist, or a sequence has too few pages.
            MemoryError: there is no room for the batch's working memory.
            FloatingPointError: a hidden state is not a number.
        """
        arrays = [
            np.ascontiguousarray(array, np.int32)
            for array in (
                batch.tokens,
                batch.starts,
                batch.positions,
                batch.page_starts,
                batch.pages,
                batch.wanted,
            )
        ]
        hidden = np.empty((len(batch.wanted), self._shape.width), np.float32)
        described = CBatch(
            len(batch.tokens),
            len(batch.positions),
            len(batch.wanted),
            0,
            *(array.ctypes.data for array in arrays),
        )
        self._call(
            self._library.pn_forward(
                self._pool.pointer,
                self._workspace,
                self._weights.model,
                self._cache.described,
                described,
                hidden.ctypes.data,
            )
        )
        return hidden

    def logits(self, hidden: Floats) -> Floats:
        """Scores over the vocabulary, shape (rows, vocabulary)."""
        hidden = np.ascontiguousarray(hidden, np.float32)
        logits = np.empty((len(hidden), self._shape.vocabulary_size), np.float32)
        self._call(
            self._library.pn_logits(
                self._pool.pointer,
                self._workspace,
                self._weights.model,
                hidden.ctypes.data,
                len(hidden),
                logits.ctypes.data,
            )
        )
        return logits

    def read_page(self, page: int) -> bytes:
        """The keys and values of a page over all layers, in a form for `write_page` alone."""
        return self._cache.page(page).tobytes()

    def write_page(self, page: int, data: bytes) -> None:
        """Put back what `read_page` gave.

        Raises:
            ValueError: the data is not of this model's page size.
        """
        place = self._cache.page(page)
        if len(data) != len(place):
            raise ValueError(f"A page of this model has {len(place)} bytes, not {len(data)}.")
        place[:] = np.frombuffer(data, np.uint8)

    def close(self) -> None:
        """Free the weights and the cache; nothing may be called after."""
        self._library.pn_workspace_destroy(self._workspace)
        self._workspace = None  # nothing happens to none a second time
        self._pool.close()
        self._weights.close()
        self._cache.close()

    def _call(self, result: int) -> None:
        if result == _OUT_OF_MEMORY:
            raise MemoryError("There is no memory left for this step of the model.")
        if result == _NOT_A_NUMBER:
            raise FloatingPointError("The model computed a value that is not a number.")
        if result == _OUTSIDE:
            raise ValueError("The batch reaches outside the model's vocabulary or its pages.")


class _Cache:
    """The pages of keys and values; page 0 belongs to nobody."""

    def __init__(self, model: CModel, form: Form, pages: int) -> None:
        self._page_bytes = int(library().pn_page_size(model, form))
        self.nbytes = self._page_bytes * (pages + 1)
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
        try:
            self._memory = mmap.mmap(-1, self.nbytes, flags=flags)
        except (OSError, OverflowError) as e:
            raise MemoryError(f"{self.nbytes} bytes cannot be mapped") from e
        self._bytes = np.frombuffer(self._memory, np.uint8)
        self.described = CCache(form, pages + 1, self._bytes.ctypes.data)

    def page(self, number: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        start = number * self._page_bytes
        return self._bytes[start : start + self._page_bytes]

    def close(self) -> None:
        self.described = CCache()
        self._bytes = np.empty(0, np.uint8)
        self._memory.close()


class _Weights:
    """A spec's matrices packed, its vectors kept, and the C description of both."""

    def __init__(
        self, spec: DecoderSpec, form: Form | None, pool: Pool, progress: Progress | None
    ) -> None:
        self._form = form
        self._pool = pool
        self._progress = progress
        self._count = sum(1 for _ in _matrices(spec))
        self._packed: dict[int, PackedMatrix] = {}
        self._vectors: list[Floats] = []
        self._parts: list[ctypes.Array[CFeedForward]] = []
        self._heads = (spec.heads, spec.key_value_heads)
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
            known = pack(matrix, _form_of(matrix, self._form), self._pool)
            self._packed[id(matrix)] = known
            if self._progress is not None:
                self._progress(len(self._packed), self._count)
        return known.c

    def _vector(self, values: Floats | None) -> int | None:
        if values is None:
            return None
        self._vectors.append(np.ascontiguousarray(values, np.float32))
        return self._vectors[-1].ctypes.data


def _matrices(spec: DecoderSpec) -> Iterator[Matrix]:
    """Every matrix once; a tied head is its embedding."""
    yield spec.embedding
    if spec.head is not spec.embedding:
        yield spec.head
    for layer in spec.layers:
        attention, feed_forward = layer.attention, layer.feed_forward
        for linear in (attention.query, attention.key, attention.value, attention.output):
            yield linear.matrix
        if isinstance(feed_forward, Experts):
            yield feed_forward.router.matrix
        parts = feed_forward.experts if isinstance(feed_forward, Experts) else (feed_forward,)
        for part in parts:
            yield from (x.matrix for x in (part.gate, part.up, part.down) if x is not None)


def _form_of(matrix: Matrix, form: Form | None) -> Form:
    return LOSSLESS.get(matrix.format, Form.BF16) if form is None else form
