"""Answers that a grammar shapes against free ones: what its masks cost on the whole vocabulary."""

import itertools
from collections.abc import Callable
from typing import Final

from bench.engine_models.catalogue import Model
from bench.engine_peers.contender import Contender
from bench.engine_peers.setups import ours
from bench.engine_rows.prompts import random_prompt
from bench.harness import PAIRS, Figures, in_turns
from ponant.text.grammar import json_schema, regex

_SHORT: Final = 32
_EACH: Final = 128
_STREAMS: Final = 16
_FREE: Final = "free"
_RECORDS: Final = {
    "type": "array",
    "minItems": 100,
    "items": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "count": {"type": "integer"}},
        "required": ["name", "count"],
        "additionalProperties": False,
    },
}
_GRAMMARS: Final = {
    "JSON Schema": json_schema(_RECORDS),
    "regex": regex("([a-z]+, ){1000}"),
}


def one(model: Model) -> Figures:
    """Tokens a second of one stream, shaped and free by turns."""
    return _measured(model, 1)


def many(model: Model) -> Figures:
    """The same of 16 streams together."""
    return _measured(model, _STREAMS)


def _measured(model: Model, streams: int) -> Figures:
    figures = Figures(f"shaped by a grammar, streams: {streams}", "tokens/s")
    figures.ours = _FREE
    seeds = itertools.count()
    with ours(model, grammars=True).start(context=512, streams=streams) as engine:

        def once(grammar: str | None) -> float:
            return _rate(
                engine, [random_prompt(model, _SHORT, next(seeds)) for _ in range(streams)], grammar
            )

        turns = {_FREE: _bound(once, None)}
        turns |= {name: _bound(once, grammar) for name, grammar in _GRAMMARS.items()}
        for turn in turns.values():
            turn()  # the first of a grammar compiles it
        in_turns(figures, turns, PAIRS)
    return figures


def _rate(engine: Contender, prompts: list[list[int]], grammar: str | None) -> float:
    answers = engine.generate(prompts, _EACH, grammar=grammar)
    begin = max(answer.first for answer in answers)
    made = sum(len(answer.ids) for answer in answers) - len(answers)
    return made / (max(answer.last for answer in answers) - begin)


def _bound(once: Callable[[str | None], float], grammar: str | None) -> Callable[[], float]:
    return lambda: once(grammar)
