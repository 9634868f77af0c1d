"""Ponant's own engine: PyTorch with oneDNN-packed weights, a paged cache, continuous batching."""

import logging
import threading
from collections.abc import Sequence
from hashlib import file_digest
from pathlib import Path
from typing import Final

import psutil
import torch
from torch import Tensor

from ponant.engine.cache import PAGE_TOKENS, PageTable
from ponant.engine.errors import ModelTooLarge
from ponant.engine.generation import Emit, Generation
from ponant.engine.limits import check_request
from ponant.engine.models import family
from ponant.engine.models.base import Shape
from ponant.engine.models.layers import packs_bfloat16
from ponant.engine.port import Capabilities, ConstraintFactory, EngineInfo, FinishReason, Request
from ponant.engine.runner import Runner
from ponant.engine.scheduler import Scheduler, Work
from ponant.engine.weights import GgufFile

_FORMS: Final = {"bf16": torch.bfloat16, "fp32": torch.float32}
_WORKING_BYTES: Final = 400 << 20  # activations of a step and logits of its last rows, at most
_MOST_CONTEXTS: Final = 4  # cached at once, where memory allows
_LOGIT_ROWS: Final = 16  # rows of logits at once: a row of 262,144 takes a megabyte

_logger: Final = logging.getLogger(__name__)


class NativeEngine:
    """A model in this process, run by a thread of its own.

    Greedy tokens of a request are the same alone, in any batch, and however its prompt is cut.

    Args:
        path: a GGUF file of a family in `ponant.engine.models.FAMILIES`.
        context_length: longest prompt and answer together; cut to what the model knows.
        threads: cores to compute on.
        constraints: builds a constraint from a request's grammar; None leaves grammars out.
        memory: bytes that the model may take; 0 is what is free.
        weight_form: ``bf16``, ``fp32``, or ``auto`` for bf16 where oneDNN has it.

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
    ) -> None:
        torch.set_num_threads(threads)
        if weight_form == "auto":
            weight_form = "bf16" if packs_bfloat16() else "fp32"
        dtype = _FORMS[weight_form]
        file = GgufFile(path)
        load = family(file.metadata.get("general.architecture"))
        shape = load.measure(file, dtype)
        context_length = min(context_length, shape.context_length)
        room = _Room(shape, dtype, context_length)
        pages = room.pages(path, memory or psutil.virtual_memory().available)
        model = load(file, dtype, context_length)
        self._info = EngineInfo(
            backend="native",
            model_hash=_sha256(path),
            weight_form=weight_form,
            context_length=context_length,
            vocabulary_size=shape.vocabulary_size,
            resident_bytes=shape.weight_bytes + pages * room.page_bytes,
            capabilities=Capabilities(
                grammar=constraints is not None,
                logit_bias=True,
                logprobs=True,
                prompt_logprobs=True,
                penalties=True,
                min_tokens=True,
                scoped_prefix_cache=True,
            ),
        )
        self._constraints = constraints
        self._runner = Runner(model, pages)
        self._scheduler = Scheduler(PageTable(pages))
        self._generations: dict[str, Generation] = {}
        self._arrived: list[Generation] = []
        self._cancelled: set[str] = set()
        self._closed = False
        self._news = threading.Condition()
        self._thread = threading.Thread(
            target=self._serve, args=(threads,), name="native-engine", daemon=True
        )
        self._thread.start()

    @property
    def info(self) -> EngineInfo:
        return self._info

    def submit(self, request: Request, emit: Emit) -> None:
        check_request(request, self._info)
        constraint = None
        if request.grammar is not None:
            if self._constraints is None:
                raise ValueError("this engine was started without grammars")
            constraint = self._constraints(request.grammar)
        generation = Generation(request, emit, constraint, self._info.context_length)
        with self._news:
            if self._closed:
                raise ValueError("the engine is closed")
            if request.id in self._generations:
                raise ValueError(f"a request with the id {request.id} is already running")
            self._generations[request.id] = generation
            self._arrived.append(generation)
            self._news.notify()

    def cancel(self, request_id: str) -> None:
        with self._news:
            if request_id in self._generations:
                self._cancelled.add(request_id)
                self._news.notify()

    def close(self) -> None:
        with self._news:
            self._closed = True
            self._news.notify()
        self._thread.join()

    def _serve(self, threads: int) -> None:
        torch.set_num_threads(threads)  # OpenMP keeps the number by thread
        with torch.inference_mode():
            while self._take_news():
                self._try_step()
        for generation in list(self._generations.values()):
            self._end(generation, FinishReason.ERROR, "the engine was closed")

    def _take_news(self) -> bool:
        """Wait for something to do; False once the engine is closed."""
        with self._news:
            while not (self._closed or self._arrived or self._cancelled or self._busy):
                self._news.wait()
            arrived, self._arrived = self._arrived, []
            cancelled, self._cancelled = self._cancelled, set()
        for generation in arrived:
            self._scheduler.add(generation.sequence)
        for request_id in cancelled:
            if request_id in self._generations:
                self._end(self._generations[request_id], FinishReason.CANCELLED)
        return not self._closed

    @property
    def _busy(self) -> bool:
        return not self._scheduler.idle

    def _try_step(self) -> None:
        if not self._busy:
            return
        try:
            self._step()
        except Exception:
            _logger.exception("a step of the native engine failed")
            for generation in list(self._generations.values()):
                self._end(generation, FinishReason.ERROR, "the engine failed; see its log")

    def _step(self) -> None:
        work = self._scheduler.plan()
        generations = [self._generations[item.sequence.id] for item in work]
        wanted = [
            generation.wanted(item) for generation, item in zip(generations, work, strict=True)
        ]
        hidden = self._runner.run(work, wanted)
        self._scheduler.advance(work)
        drawing: list[tuple[Generation, Tensor]] = []
        for generation, item, rows in zip(generations, work, hidden, strict=True):
            if generation.request.prompt_logprobs is not None:
                self._score_prompt(generation, item, rows)
            if item.completes and generation.full:
                self._end(generation, FinishReason.LENGTH)
            elif item.completes:
                drawing.append((generation, rows[-1:]))
        self._draw(drawing)

    def _score_prompt(self, generation: Generation, item: Work, hidden: Tensor) -> None:
        if item.start >= len(generation.request.prompt):
            return
        for start in range(0, len(hidden), _LOGIT_ROWS):
            logits = self._runner.logits(hidden[start : start + _LOGIT_ROWS])
            generation.score_prompt(item.start + start, logits)
        generation.finish_prompt()

    def _draw(self, drawing: Sequence[tuple[Generation, Tensor]]) -> None:
        for start in range(0, len(drawing), _LOGIT_ROWS):
            some = drawing[start : start + _LOGIT_ROWS]
            logits = self._runner.logits(torch.cat([hidden for _, hidden in some]))
            for (generation, _), row in zip(some, logits, strict=True):
                self._draw_one(generation, row)

    def _draw_one(self, generation: Generation, logits: Tensor) -> None:
        try:
            finish = generation.draw(logits)
        except ValueError as e:
            self._end(generation, FinishReason.ERROR, str(e))
            return
        if finish is not None:
            self._end(generation, finish)

    def _end(self, generation: Generation, finish: FinishReason, error: str | None = None) -> None:
        self._scheduler.remove(generation.sequence)
        with self._news:
            del self._generations[generation.request.id]
        generation.end(finish, error)


class _Room:
    """How much memory a model takes, and how much of the rest its cache may have."""

    def __init__(self, shape: Shape, dtype: torch.dtype, context_length: int) -> None:
        values = 2 * shape.layers * shape.key_value_heads * shape.head_size
        self.page_bytes = values * PAGE_TOKENS * dtype.itemsize
        self._context_pages = -(-context_length // PAGE_TOKENS)
        self._model_bytes = shape.weight_bytes + shape.loading_bytes + _WORKING_BYTES

    def pages(self, path: Path, free: int) -> int:
        """Pages for the cache: one context at least, more where that takes no more than half.

        Raises:
            ModelTooLarge: the model and one context do not fit.
        """
        needed = self._model_bytes + self._context_pages * self.page_bytes
        if needed > free:
            raise ModelTooLarge(
                f"{path.name} needs about {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB "
                "may be used. Choose a smaller model or a shorter context (PONANT_CONTEXT)."
            )
        spare = (free - self._model_bytes) // 2 // self.page_bytes
        return max(self._context_pages, min(spare, _MOST_CONTEXTS * self._context_pages))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
