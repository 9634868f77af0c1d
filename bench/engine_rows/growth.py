"""How cost grows: prefill with the prompt's length, decode with the number of streams."""

import statistics
from collections.abc import Callable, Iterable
from typing import Final

from bench.engine_models.catalogue import Model
from bench.engine_peers.contender import Contender
from bench.engine_peers.setups import Entrant, built, openvino, ours
from bench.engine_rows.prompts import random_prompt
from bench.harness import QUICK, Figures

_LENGTHS: Final = (1024, 2048, 4096) if QUICK else (1024, 2048, 4096, 8192, 16384)
_STREAMS: Final = (1, 2, 4, 8, 16, 32, 64)
_ROUNDS: Final = 1 if QUICK else 3
_SHORT: Final = 32
_EACH: Final = 32

Measure = Callable[[Contender, int, int], float]


def prefill(model: Model) -> Figures:
    """Prompt tokens a second at each length."""

    def once(engine: Contender, length: int, seed: int) -> float:
        return length / engine.generate([random_prompt(model, length, seed)], 1)[0].first

    figures = Figures("prefill as the prompt grows", "tokens/s")
    return _curves(figures, model, _LENGTHS, once, context=max(_LENGTHS) + 64)


def streams(model: Model) -> Figures:
    """Tokens a second of all streams together, after their prompts."""

    def once(engine: Contender, count: int, seed: int) -> float:
        prompts = [random_prompt(model, _SHORT, seed * 100 + n) for n in range(count)]
        answers = engine.generate(prompts, _EACH)
        begin = max(answer.first for answer in answers)
        return count * (_EACH - 1) / (max(answer.last for answer in answers) - begin)

    figures = Figures("decode as streams grow", "tokens/s")
    return _curves(figures, model, _STREAMS, once, context=128, streams=max(_STREAMS))


def _curves(
    figures: Figures, model: Model, points: Iterable[int], once: Measure, **options: int
) -> Figures:
    """By turns at every point; the values kept are those of the last point."""
    entrants: list[Entrant] = [ours(model), built(model), *openvino(model)[:1]]
    engines = {entrant.setup.name: entrant.start(**options) for entrant in entrants}
    curves: dict[str, list[tuple[int, float]]] = {name: [] for name in engines}
    try:
        for engine in engines.values():
            once(engine, min(points), 0)
        for point in points:
            values: dict[str, list[float]] = {name: [] for name in engines}
            for number in range(_ROUNDS):
                for name, engine in engines.items():
                    values[name].append(once(engine, point, number + 1))
            for name, seen in values.items():
                curves[name].append((point, statistics.median(seen)))
            figures.values = values
    finally:
        for engine in engines.values():
            engine.close()
    figures.notes["curves"] = curves
    return figures
