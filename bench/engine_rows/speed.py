"""Prefill of a long prompt, decode of one stream, and many streams at once."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack

from bench.engine_models.catalogue import Model
from bench.engine_peers.child import Answer
from bench.engine_peers.contender import Contender
from bench.engine_peers.setups import Entrant, everyone
from bench.engine_rows.prompts import random_prompt
from bench.harness import PAIRS, Figures, in_turns

PROMPT = 1504
DECODED = 256
SHORT = 32
STREAMS = 16
EACH = 64

Measure = Callable[[Contender], float]


def prefill(model: Model) -> Figures:
    """Prompt tokens a second, from handing the prompt over to its first token."""
    fresh = _prompts(model, PROMPT)

    def once(engine: Contender) -> float:
        return PROMPT / engine.generate([next(fresh)], 1)[0].first

    figures = Figures(f"prefill, {PROMPT:,} tokens", "tokens/s")
    return _measured(figures, everyone(model), once, context=2048)


def decode(model: Model) -> Figures:
    """Tokens a second of one stream after its first token, drafts off."""
    fresh = _prompts(model, SHORT)

    def once(engine: Contender) -> float:
        return _rate(engine.generate([next(fresh)], DECODED)[0], DECODED)

    figures = Figures(f"decode, one stream, {DECODED} tokens", "tokens/s")
    return _measured(figures, everyone(model), once, context=2048)


def streams(model: Model) -> Figures:
    """Tokens a second of all streams together, their short prompts' time included."""
    fresh = _prompts(model, SHORT)

    def once(engine: Contender) -> float:
        answers = engine.generate(list(itertools.islice(fresh, STREAMS)), EACH)
        return STREAMS * EACH / max(answer.last for answer in answers)

    figures = Figures(f"{STREAMS} streams together", "tokens/s")
    return _measured(figures, everyone(model), once, context=512, streams=STREAMS)


def _measured(
    figures: Figures,
    entrants: Iterable[Entrant],
    once: Measure,
    *,
    context: int,
    streams: int = 1,
) -> Figures:
    with ExitStack() as stack:
        engines = {
            entrant.setup.name: stack.enter_context(entrant.start(context=context, streams=streams))
            for entrant in entrants
        }
        for engine in engines.values():
            once(engine)  # the first run reads weights from disk and makes buffers
        turns = {name: _bound(once, engine) for name, engine in engines.items()}
        in_turns(figures, turns, PAIRS)
    return figures


def _bound(once: Measure, engine: Contender) -> Callable[[], float]:
    return lambda: once(engine)


def _prompts(model: Model, length: int) -> Iterator[list[int]]:
    return (random_prompt(model, length, seed) for seed in itertools.count())


def _rate(answer: Answer, tokens: int) -> float:
    return (tokens - 1) / (answer.last - answer.first)
