"""Ponant's own engine under measurement, driven through the engine port as a worker does."""

import inspect
import itertools
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.engine_peers.child import Answer, serve
from ponant.engine import ConstraintFactory, Event, Request, Sampling
from ponant.engine.backends.native import NativeEngine
from ponant.text.grammar import choice, constraint_factory
from ponant.text.tokenizer import load_tokenizer


class Ponant:
    """`NativeEngine` with the options that the bench may set."""

    def __init__(self, options: dict[str, Any]) -> None:
        known = inspect.signature(NativeEngine).parameters
        extra = {name: value for name, value in options.get("engine", {}).items() if name in known}
        model = Path(options["model"])
        grammars = options.get("engine", {}).get("grammars", False)
        self._engine = NativeEngine(
            model,
            # Its cache holds several contexts at once, which the streams share.
            context_length=options["context"] * max(1, options.get("streams", 1) // 4),
            threads=options["threads"],
            constraints=_constraints(model) if grammars else None,
            **extra,
        )
        self._names = (f"r{number}" for number in itertools.count())

    def generate(self, prompts: Sequence[list[int]], tokens: int, **options: Any) -> list[Answer]:
        """Options: ``scope``, whose pages are shared, ``temperature``, ``seed`` and ``grammar``."""
        runs = [_Run(self._request(prompt, tokens, **options)) for prompt in prompts]
        started = time.perf_counter()
        for run in runs:
            self._engine.submit(run.request, run.take)
        return [run.answer(started) for run in runs]

    def score(self, windows: Sequence[list[int]]) -> list[float]:
        return [self._score(window) for window in windows]

    def _score(self, window: list[int]) -> float:
        name = next(self._names)
        run = _Run(
            Request(id=name, prompt=window, max_tokens=0, prompt_logprobs=0, cache_scope=name)
        )
        self._engine.submit(run.request, run.take)
        run.answer(0.0)
        scored = [token for event in run.events for token in event.prompt_tokens]
        if len(scored) != len(window):
            raise RuntimeError(f"{len(scored)} of {len(window)} tokens were scored")
        return -sum(token.logprob or 0.0 for token in scored)

    def _request(
        self,
        prompt: list[int],
        tokens: int,
        *,
        scope: str = "",
        temperature: float = 0.0,
        seed: int | None = None,
        grammar: str | None = None,
    ) -> Request:
        name = next(self._names)
        return Request(
            id=name,
            prompt=prompt,
            max_tokens=tokens,
            sampling=Sampling(temperature=temperature, seed=seed),
            grammar=grammar,
            cache_scope=scope or name,  # nothing is shared between requests unless it is asked for
        )


def _constraints(model: Path) -> ConstraintFactory:
    """Grammars over a model's vocabulary, ready to use."""
    with tempfile.TemporaryDirectory() as folder:
        factory = constraint_factory(load_tokenizer(model, Path(folder)))
    factory(choice(["a"]))
    return factory


class _Run:
    """A request's events with the times at which they came."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.events: list[Event] = []
        self._times: list[float] = []
        self._ended = threading.Event()

    def take(self, event: Event) -> None:
        self.events.append(event)
        self._times.append(time.perf_counter())
        if event.finish is not None:
            self._ended.set()

    def answer(self, started: float) -> Answer:
        if not self._ended.wait(600):
            raise RuntimeError("a request did not end")
        last = self.events[-1]
        if last.error is not None:
            raise RuntimeError(last.error)
        with_tokens = [
            (event, at) for event, at in zip(self.events, self._times, strict=True) if event.tokens
        ]
        ids = [token.id for event, _ in with_tokens for token in event.tokens]
        times = [at - started for _, at in with_tokens] or [0.0]
        cached = last.usage.cached_tokens if last.usage else 0
        return Answer(times[0], times[-1], ids, cached, len(with_tokens))


if __name__ == "__main__":
    serve(Ponant)
