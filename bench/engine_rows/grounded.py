"""Answers that quote their passages, and text that nothing foretells: drafts on against off.

The passages are sections of Debian's reference manual, named in ``prompts.json`` with a question
about each. The question asks for the words of the passage, as grounded answers give them.
"""

import html
import itertools
import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer

from bench.engine_models.catalogue import Model, starter_tokenizer
from bench.engine_peers.child import Answer
from bench.engine_peers.contender import Contender
from bench.engine_peers.environments import text_folder
from bench.engine_peers.setups import ours
from bench.engine_rows.prompts import BEGIN
from bench.harness import PAIRS, Figures, in_turns

_ON: Final = "Ponant, drafts on"
_OFF: Final = "Ponant, drafts off"
_TOKENS: Final = 128
_GRAM: Final = 8
_MOST_REPEATED: Final = 0.2  # of an answer's 8-grams; above it the answer loops and is left out
_SECTION: Final = re.compile(
    r'<h3 class="title">(.*?)</h3>(.*?)(?=<h3 class="title">|\Z)', re.DOTALL
)
_PARAGRAPH: Final = re.compile(r"<p>(.*?)</p>", re.DOTALL)
_TAG: Final = re.compile(r"<[^>]+>")
_NUMBER: Final = re.compile(r"^[\d.\s]+")


def quoting(model: Model) -> Figures:
    """Tokens a second over the answers to all prompts that do not loop."""
    figures = Figures("grounded answers that quote", "tokens/s", ours=_ON)
    prompts = _prompts()
    with ExitStack() as stack:
        engines = _both(model, stack)
        answers = {
            name: [_ask(engine, prompt) for prompt in prompts] for name, engine in engines.items()
        }
        kept = [
            n for n, answer in enumerate(answers[_OFF]) if repeated(answer.ids) <= _MOST_REPEATED
        ]
        figures.notes |= _acceptance(answers[_ON], kept)
        figures.notes["same text with drafts as without"] = sum(
            answers[_ON][n].ids == answers[_OFF][n].ids for n in range(len(prompts))
        )
        if not kept:
            raise RuntimeError("every answer loops, so that there is nothing to measure")
        turns = {
            name: _bound(engine, [prompts[n] for n in kept]) for name, engine in engines.items()
        }
        in_turns(figures, turns, PAIRS)
    return figures


def free(model: Model) -> Figures:
    """Tokens a second of text sampled at temperature 1, which repeats little."""
    figures = Figures("text without quotes, drafts on", "tokens/s", ours=_ON)
    tokenizer = Tokenizer.from_file(str(starter_tokenizer()))
    seeds = itertools.count()
    prompt = [BEGIN, *tokenizer.encode("The west wind", add_special_tokens=False).ids]

    def once(engine: Contender) -> float:
        answers = [
            engine.generate([prompt], _TOKENS, temperature=1.0, seed=next(seeds) // 2)[0]
            for _ in range(4)
        ]
        return _rate(answers)

    with ExitStack() as stack:
        engines = _both(model, stack)
        turns: dict[str, Callable[[], float]] = {
            name: lambda engine=engine: once(engine)  # type: ignore[misc]
            for name, engine in engines.items()
        }
        for turn in turns.values():
            turn()
        in_turns(figures, turns, PAIRS)
    return figures


def repeated(ids: list[int]) -> float:
    """Share of an answer's 8-grams that stood in it before."""
    grams = [tuple(ids[i : i + _GRAM]) for i in range(len(ids) - _GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _both(model: Model, stack: ExitStack) -> dict[str, Contender]:
    entrants = (ours(model, _ON, drafts=True), ours(model, _OFF, drafts=False))
    return {
        entrant.setup.name: stack.enter_context(entrant.start(context=4096)) for entrant in entrants
    }


def _bound(engine: Contender, prompts: list[list[int]]) -> Callable[[], float]:
    return lambda: _rate([_ask(engine, prompt) for prompt in prompts])


def _ask(engine: Contender, prompt: list[int]) -> Answer:
    return engine.generate([prompt], _TOKENS)[0]


def _rate(answers: list[Answer]) -> float:
    """Tokens a second after the first, over all answers."""
    seconds = sum(answer.last - answer.first for answer in answers)
    return sum(len(answer.ids) - 1 for answer in answers) / seconds


def _acceptance(answers: list[Answer], kept: list[int]) -> dict[str, object]:
    tokens = sum(len(answers[n].ids) - 1 for n in kept)
    steps = sum(answers[n].steps - 1 for n in kept)
    return {
        "answers kept, of 20": len(kept),
        "tokens a step with drafts": round(tokens / max(steps, 1), 2),
    }


def _prompts() -> list[list[int]]:
    tokenizer = Tokenizer.from_file(str(starter_tokenizer()))
    asked = json.loads((Path(__file__).parent / "prompts.json").read_text())
    texts = [
        f"Passage: {_sections()[one['section']]}\n\nQuestion: {one['question']}\n"
        'Answer in the words of the passage: "'
        for one in asked
    ]
    return [[BEGIN, *tokenizer.encode(text, add_special_tokens=False).ids] for text in texts]


@cache
def _sections() -> dict[str, str]:
    """The manual's sections as running text, by title."""
    found = {}
    for page in sorted(text_folder().glob("ch*.en.html")):
        for title, body in _SECTION.findall(page.read_text()):
            paragraphs = " ".join(map(_plain, _PARAGRAPH.findall(body)))
            found[_NUMBER.sub("", _plain(title))] = paragraphs
    return found


def _plain(markup: str) -> str:
    return " ".join(html.unescape(_TAG.sub("", markup)).split())
