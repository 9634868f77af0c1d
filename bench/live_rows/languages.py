"""Section title to passage, in six languages and from English to each.

The relevant passages of a title are those that stand under that section. recall@5 counts titles of
which one such passage is among the first five; nDCG@10 takes every relevant passage as equally good
(Järvelin and Kekäläinen, TOIS 2002).
"""

import math
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.live_peers.contender import Contender
from bench.live_rows.libraries import library
from bench.live_rows.measured import Place, Told, embedder, folder
from bench.live_texts import manual
from bench.live_texts.manual import LANGUAGES
from ponant.live.reading.chunking import chunk

_CHAPTERS = tuple(f"{number:02}" for number in range(1, 13))
_TOKENS = 256  # of a passage, as live knowledge cuts them
_MODES = ("keyword", "vector", "hybrid")
_SECTION = re.compile(r"(\d+(?:\.\d+)+)\.")


def languages(place: Place) -> Told:
    """Every language by itself, and English titles against every other."""
    told = Told("recall@5 and nDCG@10, section title to passage")
    chosen = ("en", "zh") if place.quick else tuple(LANGUAGES)
    with folder("languages") as work, embedder("e5", work) as embedding:
        name = "manual-quick" if place.quick else "manual"
        parts = ("01",) if place.quick else _CHAPTERS
        lay_out = partial(_lay_out, chosen=chosen, parts=parts)
        with library(name, lay_out, embedding, each=True) as ponant:
            figures: dict[str, Any] = {}
            every = 1 if place.full else 2
            for language in chosen:
                figures |= _ask(ponant, language, language, language, parts, every)
                if language != "en":
                    figures |= _ask(ponant, "en", language, f"en → {language}", parts, every)
    told.figures["Ponant"] = figures
    told.notes["titles asked"] = "all" if place.full else "every other one"
    told.goals = {f"{language}, hybrid, recall@5": -0.90 for language in chosen}
    return told


def _lay_out(corpus: Path, chosen: Sequence[str], parts: Sequence[str]) -> None:
    for language in chosen:
        (corpus / language).mkdir(parents=True)
        for part in parts:
            name = f"ch{part}.{LANGUAGES[language]}.html"
            shutil.copy(manual.FOLDER / name, corpus / language / name)


def _ask(
    ponant: Contender, asked_in: str, found_in: str, name: str, parts: Sequence[str], every: int
) -> dict[str, float]:
    there = _passages_of(found_in)
    known = [one for one in manual.sections(asked_in) if one.number in there]
    titles = [one for one in known if f"{int(one.number.split('.')[0]):02}" in parts]
    titles = titles[::every]
    figures = {}
    for mode in _MODES:
        within, gains = 0, 0.0
        for section in titles:
            hits = ponant.ask(section.title, 10, mode=mode, library=found_in)
            relevant = [_is_under(hit["heading"], section.number) for hit in hits]
            within += any(relevant[:5])
            gains += _ndcg(relevant, there[section.number])
        figures[f"{name}, {mode}, recall@5"] = round(within / len(titles), 3)
        figures[f"{name}, {mode}, nDCG@10"] = round(gains / len(titles), 3)
    return figures


def _is_under(heading: str, number: str) -> bool:
    """Whether the innermost numbered heading is that of the section."""
    last = heading.rpartition("> ")[2]
    match = _SECTION.match(last.strip())
    return match is not None and match.group(1) == number


def _ndcg(relevant: list[bool], there: int) -> float:
    """Gain over that of the best order, of as many relevant passages as there are."""
    gained = sum(1 / math.log2(rank + 2) for rank, is_good in enumerate(relevant) if is_good)
    best = min(max(there, sum(relevant)), len(relevant))
    return gained / sum(1 / math.log2(rank + 2) for rank in range(best)) if best else 0.0


def _passages_of(language: str) -> Counter[str]:
    """How many passages stand under each section, by its number."""
    counts: Counter[str] = Counter()
    for text in manual.chapters(language).values():
        for piece in chunk(text, max_tokens=_TOKENS):
            if match := _SECTION.match(piece.heading.rpartition("> ")[2].strip()):
                counts[match.group(1)] += 1
    return counts
