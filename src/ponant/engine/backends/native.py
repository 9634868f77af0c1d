"""Ponant's own engine: any model of a known family, on the kernels or on torch."""

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Final, NamedTuple, cast

import psutil

from ponant import __version__
from ponant.engine.backlog import Backlog
from ponant.engine.cache import PAGE_TOKENS, PageTable
from ponant.engine.decoder import Decoder
from ponant.engine.errors import ModelTooLarge
from ponant.engine.kernels.library import available
from ponant.engine.loop import DecoderEngine, Turn
from ponant.engine.models import load_spec
from ponant.engine.models.spec import DecoderSpec
from ponant.engine.port import Capabilities, ConstraintFactory, EngineInfo
from ponant.engine.sampling import DrawRows, draw_rows
from ponant.engine.scheduler import Scheduler
from ponant.engine.spill import Spill
from ponant.engine.weights.naming import model_hash

# Executors are imported where they are chosen: one needs compiled kernels, the other torch.

_STEP_BYTES: Final = 64 << 20  # activations of a step, and what the process takes beside the model
_LOGIT_ROWS: Final = 32
_MOST_CONTEXTS: Final = 4  # cached at once, where memory allows

_logger: Final = logging.getLogger(__name__)


class NativeEngine(DecoderEngine):
    """A model in this process.

    Args:
        path: a model that `ponant.engine.models.load_spec` reads.
        context_length: longest prompt and answer together; cut to what the model knows.
        threads: cores to compute on.
        constraints: builds a constraint from a request's grammar; None leaves grammars out.
        memory: bytes that the model may take; 0 is what is free.
        weight_form: ``packed`` (as the file has them), ``bf16``, ``fp32``, ``int8``, or ``auto``
            for what is fastest here.
        drafts: whether to guess ahead where that pays.
        backlog: bounds what waits.
        spill: folder for cached pages, and the bytes that it may take; None keeps none.
        turn: opens what is held while a step computes.
        cache: a folder that remembers what is slow to find out of the file, or None.

    Raises:
        ModelFileError: the file is missing, corrupt, or of a family that is unknown.
        ModelTooLarge: it does not fit the memory.
    """

    def __init__(
        self,
        path: Path,
        *,
        context_length: int,
        threads: int,
        constraints: ConstraintFactory | None = None,
        memory: int = 0,
        weight_form: str = "auto",
        drafts: bool = True,
        backlog: Backlog | None = None,
        spill: tuple[Path, int] | None = None,
        turn: Turn = nullcontext,
        cache: Path | None = None,
    ) -> None:
        spec = load_spec(path)
        context_length = min(context_length, spec.context_length)
        form = _form(weight_form)
        weights = _measure(spec, form)
        room = _Room(spec, form, weights, context_length)
        pages = room.pages(path.name, memory or psutil.virtual_memory().available)
        with ThreadPoolExecutor(1) as beside:
            name = beside.submit(model_hash, path, cache)
            loaded = _load(spec, form, context_length, pages, threads)
        info = EngineInfo(
            backend="native",
            model_hash=name.result(),
            weight_form=form,
            context_length=context_length,
            vocabulary_size=spec.vocabulary_size,
            resident_bytes=loaded.decoder.resident_bytes,
            capabilities=Capabilities(
                grammar=constraints is not None,
                logit_bias=True,
                logprobs=True,
                prompt_logprobs=True,
                penalties=True,
                min_tokens=True,
                scoped_prefix_cache=True,
                drafts=drafts,
            ),
        )
        table = PageTable(
            pages,
            model_hash=info.model_hash,
            weight_form=f"{form} {type(loaded.decoder).__name__} {__version__}",
            store=_store(spill, info.model_hash, loaded.decoder),
        )
        super().__init__(
            loaded.decoder,
            info,
            Scheduler(table),
            constraints=constraints,
            draw=loaded.draw,
            backlog=backlog,
            turn=turn,
        )


def _store(spill: tuple[Path, int] | None, model_hash: str, decoder: Decoder) -> Spill | None:
    """Where cached pages go; without a disk there is none, and the model serves all the same."""
    if spill is None:
        return None
    folder, most_bytes = spill
    try:
        return Spill(folder / model_hash, decoder, most_bytes)
    except OSError as e:
        _logger.warning("cached pages are not kept on disk: %s", e)
        return None


class _Loaded(NamedTuple):
    """An executor and what draws from its logits."""

    decoder: Decoder
    draw: DrawRows


def _form(asked: str) -> str:
    """How weights will stand in memory."""
    if asked != "auto":
        return asked
    if available():
        return "packed"
    from ponant.engine.torch_operators import packs_bfloat16  # noqa: PLC0415

    return "bf16" if packs_bfloat16() else "fp32"


def _measure(spec: DecoderSpec, form: str) -> int:
    """Bytes that the weights will take."""
    if available():
        from ponant.engine.kernels.decoder import WeightForm, measure  # noqa: PLC0415

        return measure(spec, cast("WeightForm", form))
    from ponant.engine import torch_decoder  # noqa: PLC0415

    return torch_decoder.measure(spec, cast("torch_decoder.Form", form))


def _load(spec: DecoderSpec, form: str, context_length: int, pages: int, threads: int) -> _Loaded:
    if available():
        return _load_kernels(spec, form, context_length, pages, threads)
    import torch  # noqa: PLC0415

    from ponant.engine.torch_decoder import Form, TorchDecoder  # noqa: PLC0415

    torch.set_num_threads(threads)
    decoder = TorchDecoder(
        spec, form=cast("Form", form), context_length=context_length, pages=pages
    )
    return _Loaded(decoder, draw_rows)


def _load_kernels(
    spec: DecoderSpec, form: str, context_length: int, pages: int, threads: int
) -> _Loaded:
    from ponant.engine.kernels.decoder import KernelDecoder, WeightForm  # noqa: PLC0415
    from ponant.engine.kernels.sampling import drawing  # noqa: PLC0415

    decoder = KernelDecoder(
        spec,
        form=cast("WeightForm", form),
        context_length=context_length,
        pages=pages,
        threads=threads,
    )
    return _Loaded(decoder, drawing(decoder.pool))


class _Room:
    """How much memory a model takes, and how much of the rest its cache may have."""

    def __init__(
        self, spec: DecoderSpec, form: str, weight_bytes: int, context_length: int
    ) -> None:
        values = 2 * len(spec.layers) * spec.key_value_heads * spec.head_size
        value_bytes = 4 if form == "fp32" else 2
        self._page_bytes = values * PAGE_TOKENS * value_bytes
        self._context_pages = -(-context_length // PAGE_TOKENS)
        logits = _LOGIT_ROWS * spec.vocabulary_size * 4
        self._model_bytes = weight_bytes + logits + _STEP_BYTES

    def pages(self, name: str, free: int) -> int:
        """Pages for the cache: one context at least, more where that takes no more than half.

        Raises:
            ModelTooLarge: the model and one context do not fit.
        """
        needed = self._model_bytes + self._context_pages * self._page_bytes
        if needed > free:
            raise ModelTooLarge(
                f"{name} needs about {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB "
                "may be used. Choose a smaller model or a shorter context (PONANT_CONTEXT)."
            )
        spare = (free - self._model_bytes) // 2 // self._page_bytes
        return max(self._context_pages, min(spare, _MOST_CONTEXTS * self._context_pages))
