"""How cost grows: prefill with the prompt's length, decode with the number of streams.

Everyone stays loaded from the first size to the last. A row gives its figures after each, so that a
run which is interrupted keeps those before.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from bench.engine_models.catalogue import Model
from bench.engine_peers.contender import Contender
from bench.engine_peers.setups import BUILT, Entrant, built, openvino, ours
from bench.engine_rows.prompts import random_prompt
from bench.harness import QUICK, Figures, Point, in_turns

_SHORT: Final = 32
_EACH: Final = 32


@dataclass(frozen=True)
class _Size:
    """How far a row goes, and how often everyone is measured there.

    Attributes:
        count: tokens of the prompt, or streams.
        rounds: fewer where a round takes long.
        slow: whether llama.cpp is measured too, which takes four times as long as the others.
    """

    count: int
    rounds: int
    slow: bool


_LENGTHS: Final = (
    _Size(1024, 7, slow=True),
    _Size(2048, 7, slow=False),
    _Size(4096, 5, slow=True),
    _Size(8192, 3, slow=False),
    _Size(16384, 3, slow=False),
)
_STREAMS: Final = (
    _Size(1, 7, slow=True),
    _Size(4, 7, slow=True),
    _Size(16, 7, slow=True),
    _Size(32, 5, slow=False),
    _Size(64, 5, slow=False),
)

Measure = Callable[[Contender, int], float]


def prefill(model: Model) -> Iterator[Figures]:
    """Prompt tokens a second at each length."""
    seeds = iter(range(1_000_000))

    def once(engine: Contender, length: int) -> float:
        return length / engine.generate([random_prompt(model, length, next(seeds))], 1)[0].first

    figures = Figures("prefill as the prompt grows", "tokens/s")
    longest = max(size.count for size in _LENGTHS)
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
    most = max(size.count for size in _STREAMS)
    return _curves(figures, model, _STREAMS, once, context=128, streams=most)


def _curves(
    figures: Figures, model: Model, sizes: Sequence[_Size], once: Measure, **options: int
) -> Iterator[Figures]:
    """By turns at every size; the values kept are those of the last size so far."""
    entrants: list[Entrant] = [ours(model), *openvino(model), built(model)]
    with ExitStack() as stack:
        engines = {
            entrant.setup.name: stack.enter_context(entrant.start(**options))
            for entrant in entrants
        }
        for size in sizes:
            measured = {name: it for name, it in engines.items() if size.slow or name != BUILT}
            for engine in measured.values():
                once(engine, size.count)  # buffers and code for this size are made
            rounds = 1 if QUICK else size.rounds
            in_turns(figures, _turns(measured, once, size.count), rounds)
            _note(figures, size.count)
            yield figures


def _turns(
    engines: Mapping[str, Contender], once: Measure, count: int
) -> dict[str, Callable[[], float]]:
    def bound(engine: Contender) -> Callable[[], float]:
        return lambda: once(engine, count)

    return {name: bound(engine) for name, engine in engines.items()}


def _note(figures: Figures, size: int) -> None:
    """Keep what was found at a size, and tell it at once."""
    rounds = len(figures.values[figures.ours])
    medians = {name: figures.median(name) for name in figures.values}
    ratios = {name: figures.ratio(name) for name in figures.others}
    figures.points.append(Point(size, rounds, medians, ratios))
    others = (f"{name} {medians[name]:,.0f} ({ratio:.2f}x)" for name, ratio in ratios.items())
    told = ", ".join([f"{medians[figures.ours]:,.0f}", *others])
    print(f"{figures.measure}, {size:,} (rounds: {rounds}): {told}", flush=True)
