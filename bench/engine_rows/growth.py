"""How cost grows: prefill with the prompt's length, decode with the number of streams.

Everyone stays loaded from the first point to the last. A row gives its figures after each point,
so that a run which is interrupted keeps the points before.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from bench.engine_models.catalogue import Model
from bench.engine_peers.contender import Contender
from bench.engine_peers.setups import BUILT, Entrant, built, openvino, ours
from bench.engine_rows.prompts import random_prompt
from bench.harness import QUICK, Figures, in_turns

_SHORT: Final = 32
_EACH: Final = 32


@dataclass(frozen=True)
class _Point:
    """Where everyone is measured.

    Attributes:
        size: tokens of the prompt, or streams.
        rounds: fewer where a round takes long.
        slow: whether llama.cpp is measured too, which takes four times as long as the others.
    """

    size: int
    rounds: int
    slow: bool


_LENGTHS: Final = (
    _Point(1024, 7, slow=True),
    _Point(2048, 7, slow=False),
    _Point(4096, 5, slow=True),
    _Point(8192, 3, slow=False),
    _Point(16384, 3, slow=False),
)
_STREAMS: Final = (
    _Point(1, 7, slow=True),
    _Point(4, 7, slow=True),
    _Point(16, 7, slow=True),
    _Point(32, 5, slow=False),
    _Point(64, 5, slow=False),
)

Measure = Callable[[Contender, int], float]


def prefill(model: Model) -> Iterator[Figures]:
    """Prompt tokens a second at each length."""
    seeds = iter(range(1_000_000))

    def once(engine: Contender, length: int) -> float:
        return length / engine.generate([random_prompt(model, length, next(seeds))], 1)[0].first

    figures = Figures("prefill as the prompt grows", "tokens/s")
    longest = max(point.size for point in _LENGTHS)
    return _curves(figures, model, _LENGTHS, once, context=longest + 64)


def streams(model: Model) -> Iterator[Figures]:
    """Tokens a second of all streams together, after their prompts."""
    seeds = iter(range(1_000_000))

    def once(engine: Contender, count: int) -> float:
        prompts = [random_prompt(model, _SHORT, next(seeds)) for _ in range(count)]
        answers = engine.generate(prompts, _EACH)
        begin = max(answer.first for answer in answers)
        return count * (_EACH - 1) / (max(answer.last for answer in answers) - begin)

    figures = Figures("decode as streams grow", "tokens/s")
    most = max(point.size for point in _STREAMS)
    return _curves(figures, model, _STREAMS, once, context=128, streams=most)


def _curves(
    figures: Figures, model: Model, points: Sequence[_Point], once: Measure, **options: int
) -> Iterator[Figures]:
    """By turns at every point; the values kept are those of the last point so far."""
    entrants: list[Entrant] = [ours(model), *openvino(model)[:1], built(model)]
    with ExitStack() as stack:
        engines = {
            entrant.setup.name: stack.enter_context(entrant.start(**options))
            for entrant in entrants
        }
        for point in points:
            measured = {name: it for name, it in engines.items() if point.slow or name != BUILT}
            for engine in measured.values():
                once(engine, point.size)  # buffers and code for this size are made
            rounds = 1 if QUICK else point.rounds
            in_turns(figures, _turns(measured, once, point.size), rounds)
            _note(figures, point, rounds)
            yield figures


def _turns(
    engines: Mapping[str, Contender], once: Measure, size: int
) -> dict[str, Callable[[], float]]:
    def bound(engine: Contender) -> Callable[[], float]:
        return lambda: once(engine, size)

    return {name: bound(engine) for name, engine in engines.items()}


def _note(figures: Figures, point: _Point, rounds: int) -> None:
    """Put a point onto the curves, and tell it at once."""
    for name in figures.values:
        figures.curves.setdefault(name, []).append((point.size, figures.median(name)))
    others = (
        f"{name} {figures.median(name):,.0f} ({figures.ratio(name):.2f}x)"
        for name in figures.others
    )
    told = ", ".join([f"{figures.median(figures.ours):,.0f}", *others])
    figures.notes[f"{point.size:,} (rounds: {rounds})"] = told
    print(f"{figures.measure}, {point.size:,}: {told}", flush=True)
