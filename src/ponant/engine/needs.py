"""How much memory a model will take, told from its file's header before anything is loaded."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ponant.engine.cache import PAGE_TOKENS
from ponant.engine.errors import ModelFileError
from ponant.engine.kernels.library import available
from ponant.engine.models import load_spec
from ponant.engine.models.spec import DecoderSpec, Experts, Matrix
from ponant.engine.weights.gguf import GgufFile

_PROCESS_BYTES: Final = 150 << 20  # interpreter, vocabulary, activations of a step
_LLAMACPP_BATCH_BYTES: Final = 300 << 20  # llama.cpp's buffers for a batch, roughly
_CACHE_VALUE_BYTES: Final = 2  # bf16
_TORCH_VALUE_BYTES: Final = 2


class Needs(NamedTuple):
    """Bytes of memory.

    Attributes:
        weights: as they will stand in memory.
        cache: keys and values of one whole context.
        working: what a step, and the process around the model, take beside them.
    """

    weights: int
    cache: int
    working: int

    @property
    def total(self) -> int:
        return sum(self)


def native_needs(path: Path, context_length: int) -> Needs:
    """What a model takes in the native engine.

    Raises:
        ModelFileError: it is damaged, or of an architecture that the engine does not know.
    """
    spec = load_spec(path)
    length = min(context_length, spec.context_length)
    pages = -(-length // PAGE_TOKENS)
    values = 2 * len(spec.layers) * spec.key_value_heads * spec.head_size
    return Needs(
        weights=_native_weights(spec),
        cache=pages * PAGE_TOKENS * values * _CACHE_VALUE_BYTES,
        working=_PROCESS_BYTES,
    )


def _native_weights(spec: DecoderSpec) -> int:
    if not available():  # torch's operators run it, in bf16
        return _TORCH_VALUE_BYTES * sum(
            matrix.outputs * matrix.inputs for matrix in _matrices(spec)
        )
    from ponant.engine.kernels.decoder import measure  # noqa: PLC0415 - only where compiled

    return measure(spec, "packed")


def _matrices(spec: DecoderSpec) -> Iterator[Matrix]:
    """Every matrix once; a tied head is its embedding."""
    yield spec.embedding
    if spec.head is not spec.embedding:
        yield spec.head
    for layer in spec.layers:
        attention, feed_forward = layer.attention, layer.feed_forward
        linears = [attention.query, attention.key, attention.value, attention.output]
        parts = feed_forward.experts if isinstance(feed_forward, Experts) else (feed_forward,)
        for part in parts:
            linears += [part.up, part.down, *([part.gate] if part.gate else [])]
        yield from (linear.matrix for linear in linears)


class GgufShape:
    """What a GGUF's header says about the model's size, whatever its architecture.

    Raises:
        ModelFileError: it holds no language model, or says nonsense.
    """

    def __init__(self, model: GgufFile) -> None:
        read = model.metadata.get
        self.architecture = str(read("general.architecture", "unknown"))
        value = functools.partial(self._number, model)
        self.context_length = value("context_length", 1 << 20)
        embedding = model.tensors.get("token_embd.weight")
        if embedding is None:
            raise ModelFileError(
                f"{model.path} holds no token embedding, so it is no language model."
            )
        self.vocabulary_size = embedding.shape[0]
        heads = value("attention.head_count", 1)
        width = value("embedding_length", 1) // max(heads, 1)
        sides = value("attention.key_length", width) + value("attention.value_length", width)
        # Two bytes a value: llama.cpp keeps keys and values as float16.
        self.cache_bytes = (
            value("block_count", 1) * value("attention.head_count_kv", heads) * sides * 2
        )

    def _number(self, model: GgufFile, name: str, default: int) -> int:
        found = model.metadata.get(f"{self.architecture}.{name}", default)
        try:
            return int(max(found)) if hasattr(found, "__len__") else int(found)
        except (TypeError, ValueError) as e:
            raise ModelFileError(f"{model.path} says {found!r} for {name}. Fetch it again.") from e


def llamacpp_needs(path: Path, context_length: int) -> Needs:
    """What a GGUF file takes in llama.cpp.

    Raises:
        ModelFileError: it is damaged, or holds no language model.
    """
    shape = GgufShape(GgufFile(path))
    length = min(context_length, shape.context_length)
    return Needs(path.stat().st_size, length * shape.cache_bytes, _LLAMACPP_BATCH_BYTES)
