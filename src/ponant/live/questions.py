"""Proposes questions from what was read, without a model.

A heading that asks is taken as it stands; a sentence that states a time, an amount or a place in
a plain way is turned around; else a document's subject makes one in words that fit any language.
"""

import re
from collections.abc import Iterable, Iterator

_ASKING = re.compile(r"^#{1,6}\s+(.{8,110}?[?\uff1f])\s*$")
_TITLE = re.compile(r"^#{1,6}\s+(.{3,60}?)\s*#*$", re.MULTILINE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_TIME = re.compile(r"\b(?:\d{1,2}:\d{2}|\d{1,2}\s?(?:am|pm)|noon|midnight)\b", re.IGNORECASE)
_AMOUNT = re.compile(r"(?:[€$£]\s?\d[\d,.]*|\b\d[\d,.]*\s?(?:euros?|dollars?|pounds?|%))", re.I)
_SPAN = re.compile(r"\b\d+\s(?:working\s)?(?:days?|weeks?|months?|hours?|minutes?)\b", re.I)
_SUBJECT = r"(?P<subject>(?:The|A|An|Our|Every|Each)\s+(?:[a-z-]+\s+){0,3}?[a-z-]+)"
_DOES = re.compile(rf"^{_SUBJECT}\s+(?P<verb>opens|closes|starts|begins|ends|arrives|leaves)\b")
_COSTS = re.compile(rf"^{_SUBJECT}\s+costs\b")
_TAKES = re.compile(rf"^{_SUBJECT}\s+takes?\b")
_LOCATED = re.compile(rf"^{_SUBJECT}\s+(?P<be>is|are)\s+(?:on|in|at|behind|beside|next to)\s")

MOST = 4


def propose(documents: Iterable[tuple[str, str]]) -> list[str]:
    """Up to `MOST` questions that the documents answer; one from each before a second from any.

    Args:
        documents: pairs of name and text.
    """
    rows = [list(dict.fromkeys(_from(name, text))) for name, text in documents]
    found: dict[str, None] = {}
    for depth in range(max(map(len, rows), default=0)):
        for row in rows:
            if depth < len(row):
                found.setdefault(row[depth])
    return list(found)[:MOST]


def _from(name: str, text: str) -> Iterator[str]:
    text = text[:50_000]
    for line in text.splitlines():
        if match := _ASKING.match(line):
            yield match.group(1).strip()
            continue
        turned = (_turned(sentence.strip()) for sentence in _SENTENCE.split(line))
        yield from (question for question in turned if question is not None)
    title = _TITLE.search(text)
    yield f"What does {name} say about {title.group(1)}?" if title else f"What does {name} say?"


def _turned(sentence: str) -> str | None:
    """A statement as the question that it answers; None where it is not plain enough."""
    if len(sentence) > 160:
        return None
    if (match := _DOES.match(sentence)) and _TIME.search(sentence):
        return f"When does {_lower(match)} {_base(match['verb'])}?"
    if (match := _COSTS.match(sentence)) and _AMOUNT.search(sentence):
        return f"How much does {_lower(match)} cost?"
    if (match := _TAKES.match(sentence)) and _SPAN.search(sentence):
        return f"How long does {_lower(match)} take?"
    if match := _LOCATED.match(sentence):
        return f"Where {match['be']} {_lower(match)}?"
    return None


def _lower(match: re.Match[str]) -> str:
    subject = match["subject"]
    return subject[0].lower() + subject[1:]


def _base(verb: str) -> str:
    return verb[:-1]
