"""Time to the first token of a document that was seen before, against the first time."""

import itertools
from typing import Final

from bench.engine_models.catalogue import Model
from bench.engine_peers.contender import Contender
from bench.engine_peers.setups import ours
from bench.engine_rows.prompts import random_prompt
from bench.harness import PAIRS, Figures

_BEFORE: Final = "Ponant, seen before"
_FIRST: Final = "Ponant, first time"
_DOCUMENT: Final = 1500
_QUESTION: Final = 16


def seen_before(model: Model) -> Figures:
    """Seconds to the first token of a document and a question, which are new in every round."""
    figures = Figures(
        "first token of a document seen before", "s", lower_is_better=True, ours=_BEFORE
    )
    figures.values = {_BEFORE: [], _FIRST: []}
    seeds = itertools.count()
    with ours(model).start(context=2048) as engine:
        for _ in range(PAIRS + 1):
            document = random_prompt(model, _DOCUMENT, next(seeds))
            first, _ = _ask(engine, model, document, next(seeds))
            again, cached = _ask(engine, model, document, next(seeds))
            figures.values[_FIRST].append(first)
            figures.values[_BEFORE].append(again)
            figures.notes["prompt tokens from the cache"] = cached
    figures.values = {name: values[1:] for name, values in figures.values.items()}  # warm-up
    return figures


def _ask(engine: Contender, model: Model, document: list[int], question: int) -> tuple[float, int]:
    words = random_prompt(model, _QUESTION, question)[1:]
    answer = engine.generate([document + words], 1, scope="bench")[0]
    return answer.first, answer.cached
