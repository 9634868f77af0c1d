"""Keeps a decoder busy: takes requests, plans steps, runs them, and tells what was drawn."""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from ponant.engine.backlog import Backlog
from ponant.engine.decoder import Decoder
from ponant.engine.generation import Emit, Generation
from ponant.engine.limits import admit, enter
from ponant.engine.port import ConstraintFactory, EngineInfo, FinishReason, Request
from ponant.engine.runner import Runner
from ponant.engine.sampling import DrawRows, Mask, draw_rows
from ponant.engine.scheduler import Scheduler
from ponant.engine.sequence import Sequence as Tokens
from ponant.engine.sequence import Work
from ponant.engine.speculate import StepCosts

Turn = Callable[[], AbstractContextManager[None]]

_End = tuple[Generation, FinishReason, str | None]
_Masks = dict[Generation, Future[list[Mask]]]

_PAGES_SAVED: Final = 4  # at once, while there is nothing else to do: about a millisecond
_SAVING_PAUSE: Final = 0.01  # seconds
_READING_PAUSE: Final = 0.002

_logger: Final = logging.getLogger(__name__)


class DecoderEngine:
    """An engine over any decoder, run by a thread of its own.

    Greedy tokens of a request are the same alone, in any batch, however its prompt is cut, and
    with drafts or without; so are those drawn with a seed.

    Args:
        decoder: the loaded model; closed with the engine.
        info: what it is.
        scheduler: over as many pages as the decoder has.
        constraints: builds a constraint from a request's grammar; None leaves grammars out.
        draw: how tokens are drawn from logits.
        backlog: bounds what waits.
        turn: opens what is held while a step computes; others may want the same cores.
    """

    def __init__(
        self,
        decoder: Decoder,
        info: EngineInfo,
        scheduler: Scheduler,
        *,
        constraints: ConstraintFactory | None = None,
        draw: DrawRows = draw_rows,
        backlog: Backlog | None = None,
        turn: Turn = nullcontext,
    ) -> None:
        self._decoder = decoder
        self._turn = turn
        self._info = info
        self._constraints = constraints
        self._backlog = backlog or Backlog()
        self._runner = Runner(decoder, draw)
        self._scheduler = scheduler
        self._costs = StepCosts() if info.capabilities.drafts else None
        self._masks = ThreadPoolExecutor(1, thread_name_prefix="masks")
        self._generations: dict[str, Generation] = {}
        self._arrived: list[Generation] = []
        self._cancelled: set[str] = set()
        self._forgotten: set[str] = set()
        self._closed = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="engine", daemon=True)
        self._thread.start()

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def busy(self) -> bool:
        """Whether a request runs or waits."""
        return bool(self._generations)

    def submit(self, request: Request, emit: Emit) -> None:
        constraint = admit(request, self._info, self._constraints)
        context = self._info.context_length
        generation = Generation(request, emit, constraint, context, self._costs)
        with self._news:
            enter(
                self._generations, request, generation, closed=self._closed, backlog=self._backlog
            )
            self._arrived.append(generation)
            self._news.notify()

    def cancel(self, request_id: str) -> None:
        with self._news:
            if request_id in self._generations:
                self._cancelled.add(request_id)
                self._news.notify()

    def forget(self, names: Sequence[str]) -> None:
        with self._news:
            self._forgotten.update(names)
            self._news.notify()

    def close(self) -> None:
        with self._news:
            self._closed = True
            self._news.notify()
        self._thread.join()
        self._masks.shutdown()
        self._decoder.close()

    def _serve(self) -> None:
        while self._take_news():
            if not self._scheduler.idle:
                self._try_step()
        for generation in list(self._generations.values()):
            self._end(generation, FinishReason.ERROR, "the engine was closed")
        self._scheduler.finish()

    def _take_news(self) -> bool:
        """Wait for something to do; False once the engine is closed."""
        with self._news:
            while not (self._has_news or not self._scheduler.idle):
                unsaved = self._scheduler.save(_PAGES_SAVED)
                self._news.wait(_SAVING_PAUSE if unsaved else None)
            arrived, self._arrived = self._arrived, []
            cancelled, self._cancelled = self._cancelled, set()
            forgotten, self._forgotten = self._forgotten, set()
        if forgotten:
            self._scheduler.forget(forgotten)
        for generation in arrived:
            if generation.request.id not in cancelled:
                self._begin(generation)
        for request_id in cancelled:
            if request_id in self._generations:
                self._end(self._generations[request_id], FinishReason.CANCELLED)
        return not self._closed

    @property
    def _has_news(self) -> bool:
        return bool(self._closed or self._arrived or self._cancelled or self._forgotten)

    def _begin(self, generation: Generation) -> None:
        self._scheduler.add(generation.sequence)
        try:
            finish = generation.begin()
        except ValueError as e:
            self._end(generation, FinishReason.ERROR, str(e))
            return
        if finish is not None:
            self._end(generation, finish)

    def _try_step(self) -> None:
        """Run a step; what goes wrong in it ends its own requests, and the engine goes on."""
        work: list[Work] = []
        try:
            work += self._scheduler.plan(self._propose)
            if not work and self._scheduler.reading:
                self._wait_for_pages()
                return
            began = time.perf_counter()
            with self._turn():
                self._step_or_apart(work)
            # With the wait for the turn: whoever asks again later is told the time it really takes.
            self._backlog.measure(sum(item.count for item in work), time.perf_counter() - began)
        except Exception as e:
            _logger.exception("a step of the engine failed")
            ids = [item.sequence.id for item in work] or list(self._generations)
            for request_id in ids:
                if request_id in self._generations:
                    self._end(self._generations[request_id], FinishReason.ERROR, _fault(e))

    def _wait_for_pages(self) -> None:
        """Let the store read on, where there is nothing to do until it has."""
        with self._news:
            self._news.wait_for(lambda: self._has_news, _READING_PAUSE)

    def _step_or_apart(self, work: Sequence[Work]) -> None:
        """Run a step; where it holds what is no number, each sequence by itself to find which."""
        try:
            self._step(work)
        except FloatingPointError:
            if len(work) == 1:
                raise
            _logger.warning("a step of the engine holds what is no number; it is run in parts")
            for item in work:
                self._step_alone(item)

    def _step_alone(self, item: Work) -> None:
        try:
            self._step([item])
        except FloatingPointError as e:
            generation = self._generations[item.sequence.id]
            self._end(generation, FinishReason.ERROR, _fault(e))

    def _propose(self, sequence: Tokens, most: int) -> tuple[int, ...]:
        return self._generations[sequence.id].propose(most)

    def _step(self, work: Sequence[Work]) -> None:
        if not work:
            raise RuntimeError("no sequence fits the cache")
        began = time.perf_counter()
        for item in work:
            self._backlog.begin(item.sequence.id)
        generations = [self._generations[item.sequence.id] for item in work]
        pairs = list(zip(generations, work, strict=True))
        only_decodes = all(item.sequence.decoding for item in work)
        wanted = [generation.wanted(item) for generation, item in pairs]
        masks = self._start_masks(pairs)
        try:
            hidden = self._runner.run(work, wanted)
        finally:
            wait(masks.values())
        draws = [
            generation.draws(item, masks[generation].result() if generation in masks else None)
            for generation, item in pairs
        ]
        drawn = iter(self._runner.draw(hidden, list(itertools.chain.from_iterable(draws))))
        ends: list[_End] = []
        accepted: dict[Tokens, int] = {}
        for (generation, item), some in zip(pairs, draws, strict=True):
            tokens = list(itertools.islice(drawn, len(some)))
            try:
                accepted[item.sequence], finish = generation.take(item, tokens)
            except (ValueError, FloatingPointError) as e:
                ends.append((generation, FinishReason.ERROR, str(e)))
            else:
                ends += [(generation, finish, None)] if finish else []
        self._scheduler.advance(work, accepted)
        for end in ends:
            self._end(*end)
        seconds = time.perf_counter() - began
        if self._costs is not None and only_decodes:
            self._costs.observe(len(work), sum(item.rows for item in work), seconds)

    def _start_masks(self, pairs: Sequence[tuple[Generation, Work]]) -> _Masks:
        """Compute the masks that the step needs beside it: grammars hold no lock while they do."""
        return {
            generation: self._masks.submit(generation.masks, item)
            for generation, item in pairs
            if generation.constrained
        }

    def _end(self, generation: Generation, finish: FinishReason, error: str | None = None) -> None:
        self._scheduler.remove(generation.sequence)
        with self._news:
            del self._generations[generation.request.id]
        # What was taken back says nothing of how long answers are.
        took = None if finish is FinishReason.CANCELLED else generation.produced
        self._backlog.end(generation.request.id, took)
        generation.end(finish, error)


def _fault(error: Exception) -> str:
    """What a caller is told of a step that failed."""
    match error:
        case FloatingPointError():
            return "the model computed something that is not a number; its file may be damaged"
        case MemoryError():
            return "there was not enough memory to go on; ask for less at once, or a smaller model"
        case _:
            return "the engine failed; see its log"
