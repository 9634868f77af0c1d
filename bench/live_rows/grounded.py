"""Questions on real text: cited rightly, refused where nothing answers, and true after an edit.

Citation recall and precision are ALCE's (Gao et al., EMNLP 2023): a sentence counts where the
passages it cites support it; a citation counts where it supports its sentence alone, or the others
do not without it. What supports what is decided by words instead of a model: a passage supports a
sentence where it has at least `_SUPPORT` of the sentence's words of substance.
"""

import re
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.server import home_with_models, serving

from bench.live_rows.measured import MODELS, Place, Told, folder
from bench.live_texts.facts import Fact, facts, write
from ponant.assistant.grounding.prompt import documents_do_not_say

_MODEL = "starter"
_SUPPORT = 0.7
_SAYS = 0.5  # of a fact's words, to count as said
_LONGEST_WAIT = 1200  # tenths of a second
_WORD = re.compile(r"[\w.+/-]*\w")
_END = re.compile(r"(?<=[.!?])\s+")
_COMMON = frozenset(
    [
        "the",
        "a",
        "an",
        "is",
        "are",
        "was",
        "of",
        "to",
        "in",
        "on",
        "for",
        "and",
        "or",
        "with",
        "by",
        "as",
        "at",
        "from",
        "that",
        "this",
        "it",
        "its",
        "be",
        "which",
        "described",
        "you",
        "can",
        "may",
        "not",
        "no",
    ]
)
_UNKNOWN = [
    "qvorto",
    "zemblix",
    "hartuno",
    "pelkwid",
    "sornaft",
    "ulmbeck",
    "drivost",
    "klaxure",
    "wembrit",
    "tolquad",
]
_BESIDE = [
    "Who wrote {} and in which year?",
    "Under which licence is {} published?",
    "What does a year of support for {} cost?",
]


@dataclass
class Answer:
    """What was said, sentence by sentence with the passages that each cites."""

    sentences: list[tuple[str, list[str]]]
    retrieved: list[str]

    @property
    def text(self) -> str:
        return " ".join(text for text, _ in self.sentences)

    @property
    def is_silent(self) -> bool:
        """Whether it says nothing but that the documents do not say."""
        return self.text == documents_do_not_say("What is it?")


def grounded(place: Place) -> Told:
    """Answerable, unanswerable, and answerable again after the fact was edited."""
    count = 200 if place.full else 6 if place.quick else 40
    told = Told(f"{count} questions on Debian's reference, answered by {_MODEL}")
    with folder("grounded") as work:
        corpus = work / "corpus"
        places = write(corpus)
        home = home_with_models(work / "home", MODELS.resolve())
        with serving(home, {"PONANT_LIVE_ROOTS": str(work)}) as server, server.client() as client:
            library = library_of(client, corpus)
            asking = _Asking(client, library)
            known = facts(count)
            answers = [asking.answer(fact.question) for fact in known]
            silent = [asking.answer(question) for question in _unanswerable(count // 2)]
            changed = _edited(known, places)
            asking.wait_for(known[-1].entry_with(changed[-1]))
            _in_step(client, library)
            again = [asking.answer(fact.question) for fact in known]
    told.figures["Ponant"] = {
        **_citations(answers),
        "said that the documents do not, unanswerable": _share(one.is_silent for one in silent),
        "old fact stated after its edit": sum(
            _still_says(answer, old, new)
            for old, new, answer in zip(known, changed, again, strict=True)
        ),
        "new fact stated after its edit": _share(
            _says(answer, new) for new, answer in zip(changed, again, strict=True)
        ),
        "right": _share(
            _says(answer, one.text) for one, answer in zip(known, answers, strict=True)
        ),
        "the passage was retrieved": _share(
            any(_supports([text], one.entry) for text in answer.retrieved)
            for one, answer in zip(known, answers, strict=True)
        ),
    }
    told.notes["judge"] = f"words, at least {_SUPPORT:.0%} of a sentence's"
    told.goals = {
        "citation precision": -0.90,
        "citation recall": -0.90,
        "said that the documents do not, unanswerable": -0.90,
        "old fact stated after its edit": 0,
    }
    return told


class _Asking:
    """Asks a library's documents through the API."""

    def __init__(self, client: httpx.Client, library: str) -> None:
        self._client = client
        self._library = library

    def answer(self, question: str) -> Answer:
        body = {
            "inputs": question,
            "model": _MODEL,
            "store": False,
            "completion_args": {"temperature": 0},
            "tools": [{"type": "document_library", "library_ids": [self._library]}],
        }
        said = self._client.post("/v1/conversations", json=body, timeout=300).raise_for_status()
        last = next(one for one in said.json()["outputs"] if one["type"] == "message.output")
        content = last["content"]
        pieces = [{"type": "text", "text": content}] if isinstance(content, str) else content
        return Answer(self._sentences(pieces), self._retrieved(question))

    def wait_for(self, entry: str) -> None:
        """Until a search finds what was just written, however late the folder's events come."""
        for _ in range(_LONGEST_WAIT):
            if any(entry in text for text in self._retrieved(entry)):
                return
            time.sleep(0.1)
        raise RuntimeError(f"No search found {entry!r}.")

    def _sentences(self, pieces: Sequence[dict[str, Any]]) -> list[tuple[str, list[str]]]:
        """A reference stands behind the sentence that it supports."""
        found: list[tuple[str, list[str]]] = []
        for piece in pieces:
            if piece["type"] == "text":
                found += [(one, []) for one in _END.split(piece["text"].strip()) if _words(one)]
            elif found:
                found[-1][1].append(self._passage(piece["url"]))
        return found

    def _passage(self, url: str) -> str:
        shown = self._client.get(url).raise_for_status().json()
        return str(shown["text"][shown["start"] : shown["end"]])

    def _retrieved(self, question: str) -> list[str]:
        asked = {"query": question, "limit": 5}
        found = self._client.post(f"/v1/libraries/{self._library}/search", json=asked)
        return [hit["text"] for hit in found.raise_for_status().json()["data"]]


def library_of(client: httpx.Client, corpus: Path) -> str:
    """A library that follows ``corpus``, in step with it."""
    library = str(client.post("/v1/libraries", json={"name": "Facts"}).json()["id"])
    body = {"kind": "folder", "config": {"path": str(corpus)}}
    client.post(f"/v1/libraries/{library}/sources", json=body).raise_for_status()
    _in_step(client, library)
    return library


def _in_step(client: httpx.Client, library: str) -> None:
    time.sleep(1)
    while client.get(f"/v1/libraries/{library}").json()["freshness"]["state"] != "in_step":
        time.sleep(0.1)


def _unanswerable(count: int) -> list[str]:
    """Of things that no text names, and of facts that no text about a thing gives."""
    unknown = [f"What is {word}{number}?" for number, word in enumerate(_UNKNOWN)]
    beside = [_BESIDE[n % len(_BESIDE)].format(fact.key) for n, fact in enumerate(facts(count))]
    return [*unknown, *beside][:count]


def _edited(known: Sequence[Fact], places: dict[str, Path]) -> list[str]:
    """Give every thing the fact of another one, in its file."""
    new = [other.text for other in [*known[len(known) // 2 :], *known[: len(known) // 2]]]
    for fact, text in zip(known, new, strict=True):
        path = places[fact.key]
        path.write_text(path.read_text().replace(fact.entry, fact.entry_with(text)))
    return new


def _citations(answers: Sequence[Answer]) -> dict[str, float]:
    """ALCE's two, the mean over answers that say something."""
    recalls, precisions = [], []
    for answer in answers:
        if answer.is_silent:
            continue
        supported = [_supports(cited, text) for text, cited in answer.sentences]
        recalls.append(statistics.fmean(supported))
        needed = [
            _is_needed(number, cited, text)
            for text, cited in answer.sentences
            for number in range(len(cited))
        ]
        precisions.append(statistics.fmean(needed))
    return {
        "citation precision": round(statistics.fmean(precisions), 3) if precisions else 0.0,
        "citation recall": round(statistics.fmean(recalls), 3) if recalls else 0.0,
        "answered": _share(not answer.is_silent for answer in answers),
    }


def _is_needed(number: int, cited: Sequence[str], text: str) -> bool:
    if not _supports(cited, text):
        return False
    others = [*cited[:number], *cited[number + 1 :]]
    return _supports([cited[number]], text) or not _supports(others, text)


def _supports(passages: Sequence[str], text: str) -> bool:
    wanted = _words(text)
    there = set().union(*(_words(one) for one in passages)) if passages else set()
    return bool(wanted) and len(wanted & there) >= _SUPPORT * len(wanted)


def _says(answer: Answer, fact: str) -> bool:
    wanted = _words(fact)
    return len(wanted & _words(answer.text)) >= _SAYS * len(wanted)


def _still_says(answer: Answer, old: Fact, new: str) -> bool:
    """Whether it says half of the words by which the old fact differs from the new one."""
    only = _words(old.text) - _words(new) - _words(old.question)
    return bool(only) and len(only & _words(answer.text)) >= _SAYS * len(only)


def _words(text: str) -> set[str]:
    return {word for word in _WORD.findall(text.lower()) if word not in _COMMON}


def _share(values: Iterable[bool]) -> float:
    found = list(values)
    return round(sum(found) / len(found), 3) if found else 0.0
