"""Perplexity on real text: the same windows for everyone, each opened by the beginning token.

Every token but the first is scored, so that all engines see the same context for the same token.
The weight forms that Ponant makes itself are compared with float32 of the same weights.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final

from bench.engine_models.catalogue import Model
from bench.engine_peers.setups import Entrant, built, openvino, ours
from bench.engine_rows.prompts import windows
from bench.harness import QUICK, Figures

_LENGTH = 1024
_COUNT = 4 if QUICK else 50
_FORMS: Final = ("bf16", "int8")
_SCORED = _COUNT * (_LENGTH - 1)


def perplexity(model: Model) -> Iterator[Figures]:
    """Perplexity of each engine and weight form; one round, since it does not vary."""
    figures = Figures("perplexity", "", lower_is_better=True)
    figures.notes["tokens scored"] = _SCORED
    text = windows(_COUNT, _LENGTH)
    for entrant in _entrants(model):
        figures.values[entrant.setup.name] = [_measured(entrant, text)]
        yield figures
    exact = _measured(ours(model, weight_form="fp32"), text)
    figures.notes["Ponant's float32"] = f"{exact:.4f}"
    kept = figures.values[figures.ours][0]
    figures.notes["the file's own form"] = _beside(kept, exact)
    for form in _FORMS:
        yield figures
        found = _measured(ours(model, weight_form=form), text)
        figures.notes[f"Ponant's {form}"] = _beside(found, exact)
    yield figures


def form(model: Model) -> Figures:
    """Perplexity of the starter in one of GGUF's block formats: ours, and llama.cpp's."""
    figures = Figures("perplexity by form", "", lower_is_better=True)
    figures.notes["tokens scored"] = _SCORED
    text = windows(_COUNT, _LENGTH)
    for entrant in (ours(model), built(model)):
        figures.values[entrant.setup.name] = [_measured(entrant, text)]
    return figures


def _beside(found: float, exact: float) -> str:
    return f"{found:.4f}, {found / exact - 1:+.3%} of float32"


def _measured(entrant: Entrant, text: Sequence[list[int]]) -> float:
    options = {"scoring": True, "batch": 128} if entrant.setup.name.startswith("Open") else {}
    with entrant.start(context=2 * _LENGTH, **options) as engine:
        return math.exp(sum(engine.score(text)) / _SCORED)


def _entrants(model: Model) -> Iterator[Entrant]:
    yield ours(model)
    yield built(model)
    yield from openvino(model)
