"""Runs a described decoder on the compiled kernels: packs its weights once, owns its cache."""

import mmap
from typing import Final

import numpy as np

from ponant.engine.decoder import Batch, Floats, Indices, Shape
from ponant.engine.errors import ModelTooLarge
from ponant.engine.kernels.library import CBatch, CCache, CModel, Form, library
from ponant.engine.kernels.packing import Pool
from ponant.engine.kernels.weights import Progress, WeightForm, Weights, measure
from ponant.engine.models.spec import DecoderSpec

__all__ = ["KernelDecoder", "WeightForm", "measure", "shape_of"]

_OUT_OF_MEMORY: Final = -1
_NOT_A_NUMBER: Final = -2
_OUTSIDE: Final = -3


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
            self._weights = Weights(spec, form, self._pool, progress)
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

    def best(self, hidden: Floats) -> Indices:
        """The likeliest token of each row, shape (rows,); see `ponant.engine.decoder.Decoder`."""
        hidden = np.ascontiguousarray(hidden, np.float32)
        tokens = np.empty(len(hidden), np.int32)
        self._call(
            self._library.pn_best(
                self._pool.pointer,
                self._workspace,
                self._weights.model,
                hidden.ctypes.data,
                len(hidden),
                tokens.ctypes.data,
            )
        )
        return tokens

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
