"""A deterministic engine over bytes that repeats what it is told, for other people's CI.

Token ids 0 to 255 are bytes; `BEGIN` opens what is to be repeated, `ANSWER` closes it, `END` ends
an answer. The distribution is a real one: the byte to repeat stands far above all others, so
that at usual temperatures the answer is certain, and bias, penalties, grammar and sampling act on
it as they would on a model's logits.
"""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ponant.engine.backlog import Backlog
from ponant.engine.limits import admit, enter
from ponant.engine.port import (
    Capabilities,
    Constraint,
    ConstraintFactory,
    EngineInfo,
    Event,
    FinishReason,
    Request,
    Sampling,
    Token,
    Usage,
)

BEGIN, END, ANSWER = 256, 257, 258
VOCABULARY_SIZE = 259

_FLOOR = 30.0  # positive, so that a repetition penalty moves every token down
_LEAD = 60.0
# Under a grammar the byte to repeat may be forbidden; what closes brackets and quotes then comes
# first, so that the answer ends.
_FALLBACK = [END, *b'}]",:', *b"0123456789", *range(ord("a"), ord("z") + 1)]

Emit = Callable[[Event], None]


class EchoEngine:
    """Repeats the tokens between the last `BEGIN` and `ANSWER` (or the prompt's end), then ends.

    Args:
        context_length: longest prompt and answer together.
        constraints: builds a constraint from a request's grammar; None leaves grammars out.
        backlog: bounds the requests in flight, which all count as waiting.
        rate: tokens a second of each answer; 0 is as fast as it can.
    """

    def __init__(
        self,
        *,
        context_length: int = 8192,
        constraints: ConstraintFactory | None = None,
        backlog: Backlog | None = None,
        rate: float = 0.0,
    ) -> None:
        self._pause = 1 / rate if rate else 0.0
        self._backlog = backlog or Backlog()
        self._constraints = constraints
        self._info = EngineInfo(
            backend="echo",
            model_hash="0" * 64,
            weight_form="none",
            context_length=context_length,
            vocabulary_size=VOCABULARY_SIZE,
            resident_bytes=0,
            capabilities=Capabilities(
                grammar=constraints is not None,
                logit_bias=True,
                logprobs=True,
                prompt_logprobs=True,
                penalties=True,
                min_tokens=True,
            ),
        )
        self._runs: dict[str, _Run] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="echo-engine", daemon=True)
        self._thread.start()

    @property
    def info(self) -> EngineInfo:
        return self._info

    def submit(self, request: Request, emit: Emit) -> None:
        constraint = admit(request, self._info, self._constraints)
        run = _Run(request, emit, constraint, self._info.context_length)
        with self._changed:
            enter(self._runs, request, run, closed=self._closed, backlog=self._backlog)
            self._changed.notify()

    def cancel(self, request_id: str) -> None:
        with self._changed:
            run = self._runs.get(request_id)
            if run is not None:
                run.cancelled = True
                self._changed.notify()

    def forget(self, names: Sequence[str]) -> None:
        """Nothing is kept of a prompt that has ended."""

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._runs or self._closed)
                self._changed.wait_for(self._has_due, self._until_due())
                runs, closed = list(self._runs.values()), self._closed
            if closed:
                for run in runs:
                    run.fail("the engine was closed")
                return
            now = time.monotonic()
            for run in runs:
                if not run.cancelled and run.due > now:
                    continue
                run.due = max(run.due, now - self._pause) + self._pause
                if run.advance():
                    self._backlog.end(run.request.id)
                    with self._changed:
                        del self._runs[run.request.id]

    def _has_due(self) -> bool:
        return self._closed or self._until_due() <= 0

    def _until_due(self) -> float:
        """Seconds until the next token of an answer is to be written."""
        dues = [0.0 if run.cancelled else run.due for run in self._runs.values()]
        return max(0.0, min(dues, default=0.0) - time.monotonic())


class _Run:
    """One request on its way."""

    def __init__(
        self, request: Request, emit: Emit, constraint: Constraint | None, context_length: int
    ) -> None:
        self.request = request
        self.cancelled = False
        self.due = time.monotonic()  # when its next token is to be written
        self._emit = emit
        self._constraint = constraint
        self._left = _told(request.prompt)[::-1]
        self._output: list[int] = []
        self._limit = min(request.max_tokens, context_length - len(request.prompt))
        self._random = np.random.default_rng(request.sampling.seed)
        self._started = False

    def advance(self) -> bool:
        """Produce a token; True once the request has ended. What goes wrong ends this one alone."""
        try:
            return self._step()
        except ValueError as e:
            return self._finish(FinishReason.ERROR, str(e))

    def _step(self) -> bool:
        if not self._started:
            self._start()
        if self.cancelled:
            return self._finish(FinishReason.CANCELLED)
        if len(self._output) >= self._limit:
            return self._finish(FinishReason.LENGTH)
        raw = self._logits()
        chosen = self._choose(raw)
        if chosen in self.request.stop_tokens:
            return self._finish(FinishReason.STOP)
        self._accept(chosen)
        token = _token(raw, chosen, self.request.logprobs)
        self._emit(Event(request_id=self.request.id, tokens=(token,)))
        if self._constraint is not None and self._constraint.complete:
            return self._finish(FinishReason.STOP)
        return False

    def fail(self, message: str) -> None:
        self._finish(FinishReason.ERROR, message)

    def _start(self) -> None:
        self._started = True
        wanted = self.request.prompt_logprobs
        if wanted is None:
            return
        # A prompt's tokens come from outside: to this engine every one is as likely as another.
        raw = np.zeros(VOCABULARY_SIZE, dtype=np.float64)
        first, *others = self.request.prompt
        scored = (Token(first), *(_token(raw, token, wanted) for token in others))
        self._emit(Event(request_id=self.request.id, prompt_tokens=scored))

    def _logits(self) -> NDArray[np.float64]:
        logits = np.full(VOCABULARY_SIZE, _FLOOR)
        if self._constraint is not None:
            logits[_FALLBACK] += np.linspace(_LEAD / 2, _LEAD / 6, len(_FALLBACK))
        logits[self._left[-1] if self._left else END] = _FLOOR + _LEAD
        return logits

    def _choose(self, raw: NDArray[np.float64]) -> int:
        sampling = self.request.sampling
        logits = raw.copy()
        for token, bias in sampling.logit_bias.items():
            logits[token] += bias
        _penalise(logits, sampling, self.request.prompt, self._output)
        if len(self._output) < self.request.min_tokens:
            logits[list(self.request.stop_tokens)] = -np.inf
        if self._constraint is not None:
            logits[~_allowed(self._constraint)] = -np.inf
        return _draw(logits, sampling, self._random)

    def _accept(self, token: int) -> None:
        self._output.append(token)
        if self._left and self._left[-1] == token:
            self._left.pop()
        if self._constraint is not None:
            self._constraint.accept(token)

    def _finish(self, reason: FinishReason, error: str | None = None) -> bool:
        usage = Usage(prompt_tokens=len(self.request.prompt), completion_tokens=len(self._output))
        self._emit(Event(request_id=self.request.id, finish=reason, usage=usage, error=error))
        return True


def _told(prompt: Sequence[int]) -> list[int]:
    """What a prompt asks to repeat: the bytes from its last `BEGIN` to `ANSWER` or the end."""
    start = len(prompt) - 1 - prompt[::-1].index(BEGIN) if BEGIN in prompt else -1
    told = itertools.takewhile(lambda token: token != ANSWER, prompt[start + 1 :])
    return [token for token in told if token < BEGIN]


def _penalise(
    logits: NDArray[np.float64], sampling: Sampling, prompt: Sequence[int], output: Sequence[int]
) -> None:
    if sampling.repetition_penalty != 1.0:
        seen = list({*prompt, *output})
        factor = np.where(
            logits[seen] > 0, 1 / sampling.repetition_penalty, sampling.repetition_penalty
        )
        logits[seen] *= factor
    for token, count in Counter(output).items():
        logits[token] -= sampling.presence_penalty + count * sampling.frequency_penalty


def _allowed(constraint: Constraint) -> NDArray[np.bool_]:
    words = np.ascontiguousarray(constraint.mask(), dtype="<u4")
    bits = np.unpackbits(words.view(np.uint8), bitorder="little")
    return bits[:VOCABULARY_SIZE].astype(np.bool_)


def _draw(logits: NDArray[np.float64], sampling: Sampling, random: np.random.Generator) -> int:
    if sampling.temperature == 0:
        return int(np.argmax(logits))
    order = np.argsort(-logits, kind="stable")
    if sampling.top_k:
        order = order[: sampling.top_k]
    probabilities = np.exp(_log_softmax(logits[order] / sampling.temperature))
    before = np.cumsum(probabilities) - probabilities
    keep = (before < sampling.top_p) & (probabilities >= sampling.min_p * probabilities[0])
    keep[0] = True
    kept = probabilities[keep]
    return int(random.choice(order[keep], p=kept / kept.sum()))


def _token(raw: NDArray[np.float64], chosen: int, wanted: int | None) -> Token:
    if wanted is None:
        return Token(chosen)
    logprobs = _log_softmax(raw)
    best = np.argsort(-logprobs, kind="stable")[:wanted]
    top = tuple((int(token), float(logprobs[token])) for token in best)
    return Token(chosen, float(logprobs[chosen]), top)


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max()
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return result
