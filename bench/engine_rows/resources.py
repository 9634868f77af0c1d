"""Resident memory after a long prompt, and the time from a process's start to its first token."""

import time
from collections.abc import Callable

from bench.engine_models.catalogue import Model
from bench.engine_peers.contender import Contender
from bench.engine_peers.setups import Entrant, built, everyone, ours, wheel
from bench.engine_rows.prompts import random_prompt
from bench.harness import PAIRS, Figures, in_turns

_CONTEXT = 4096
_PROMPT = 1504
_MIB = 1 << 20


def memory(model: Model) -> Figures:
    """MiB resident after a prompt of 1,504 tokens and 32 more, with room for a context of 4,096."""
    figures = Figures("resident memory", "MiB", lower_is_better=True)
    for entrant in everyone(model):
        with entrant.start(context=_CONTEXT) as engine:
            engine.generate([random_prompt(model, _PROMPT, 0)], 32)
            resident = engine.memory()
        name = entrant.setup.name
        figures.values[name] = [resident["VmRSS"] / _MIB]
        figures.notes[f"{name}: at most, of it files"] = [
            round(resident["VmHWM"] / _MIB),
            round(resident["RssFile"] / _MIB),
        ]
    figures.notes["the file"] = round(model.gguf.stat().st_size / _MIB)
    return figures


def first_token(model: Model) -> Figures:
    """Seconds from a process's start to its first token; the file is in the page cache."""
    figures = Figures("process start to first token", "s", lower_is_better=True)
    entrants = [ours(model), built(model), wheel(model)]
    turns = {entrant.setup.name: _bound(model, entrant) for entrant in entrants}
    for turn in turns.values():
        turn()
    return in_turns(figures, turns, PAIRS)


def _bound(model: Model, entrant: Entrant) -> Callable[[], float]:
    def once() -> float:
        began = time.perf_counter()
        engine: Contender = entrant.start(context=_CONTEXT)
        engine.generate([random_prompt(model, 16, 1)], 1)
        took = time.perf_counter() - began
        engine.close()
        return took

    return once
