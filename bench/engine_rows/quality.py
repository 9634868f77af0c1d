"""Perplexity on real text: the same windows for everyone, each opened by the beginning token.

Every token but the first is scored, so that all engines see the same context for the same token.
"""

import math
from collections.abc import Iterator

from bench.engine_models.catalogue import Model
from bench.engine_peers.setups import Entrant, built, openvino, ours
from bench.engine_rows.prompts import windows
from bench.harness import QUICK, Figures

_LENGTH = 1024
_COUNT = 4 if QUICK else 50
_SCORED = _COUNT * (_LENGTH - 1)


def perplexity(model: Model) -> Figures:
    """Perplexity of each engine and weight form; one round, since it does not vary."""
    figures = Figures("perplexity", "", lower_is_better=True)
    figures.notes["tokens scored"] = _SCORED
    text = windows(_COUNT, _LENGTH)
    for entrant in _entrants(model):
        options = {"scoring": True, "batch": 128} if entrant.setup.name.startswith("Open") else {}
        with entrant.start(context=2 * _LENGTH, **options) as engine:
            total = sum(engine.score(text))
        figures.values[entrant.setup.name] = [math.exp(total / _SCORED)]
    return figures


def _entrants(model: Model) -> Iterator[Entrant]:
    yield ours(model)
    yield built(model)
    yield from openvino(model)
