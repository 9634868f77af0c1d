"""What reading passages costs a model, where it never read them and where it did.

Each question has a library of its own, a section of the manual that no other question is asked of
and paragraphs that stand nowhere else, so that no prompt had its passages before. As the assistant
answers it, from the few sentences that stand out, it is asked three times:

1. for a year, which no passage gives: every sentence is compared with the question, as the other
   two times, and no model is asked. From then on the sentences' vectors are known.
2. for a fact: the model reads passages that it never had.
3. for the same in other words: a search finds the same passages, whose pages may still be there.

*Reading* runs from the end of the search to the model's first token; the sentences' comparison
with the question is in it. The API tells no moment of the first token, but how many tokens were
made, and how many a second from the first to the end, of which it follows. What comes after
reading (drafting, checking, choosing a citation) is told as the rest of the answer.

Then the passages that a search finds are sent whole, as other programs do, before the question and
before it in other words, and one token is asked for.
"""

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.server import home_with_models, serving

from bench.live_rows.grounded import library_of
from bench.live_rows.measured import MODELS, Place, Told, folder, spread
from bench.live_texts import manual
from bench.live_texts.facts import Fact, section_by_section

_ENTRIES = 3  # of a section, at least
_PARAGRAPHS = 8  # of running text, for each library


@dataclass(frozen=True, slots=True)
class _Answer:
    """Times in milliseconds from the request on.

    Attributes:
        token: the model's first token; None where no model was asked.
        kept: tokens of the prompt whose pages were there.
    """

    searched: float
    token: float | None
    text: float
    end: float
    prompt: int
    kept: int

    @property
    def reading(self) -> float:
        return (self.token or self.text) - self.searched

    @property
    def rest(self) -> float:
        return self.end - (self.token or self.text)


@dataclass(frozen=True, slots=True)
class _Whole:
    """A request with whole passages: milliseconds to its one token, and tokens of its prompt."""

    milliseconds: float
    prompt: int
    kept: int


def kept(place: Place) -> Told:
    """Never read, then read before, question by question."""
    count = 4 if place.quick else 60
    told = Told("reading passages: never read, and read before")
    never, before = list[_Answer](), list[_Answer]()
    whole, again = list[_Whole](), list[_Whole]()
    compared, left_out = list[float](), 0
    sections, texts = section_by_section(_ENTRIES)[: count + 1], manual.paragraphs("en")
    with folder("pages") as work:
        home = home_with_models(work / "home", MODELS.resolve())
        with serving(home, {"PONANT_LIVE_ROOTS": str(work)}) as server, server.client() as client:
            for number, facts in enumerate(sections):
                own = texts[number * _PARAGRAPHS : (number + 1) * _PARAGRAPHS]
                library = library_of(client, _written(work / f"section{number}", facts, own))
                key, question = facts[0].key, facts[0].question
                in_other_words = f"What was {key}?"  # as many words of substance
                first = _ask(client, library, f"In which year was {key} first published?")
                cold = _ask(client, library, question)
                warm = _ask(client, library, in_other_words)
                passages = _found(client, library, question)
                pair = [_read(client, passages, one) for one in (question, in_other_words)]
                if number == 0:
                    continue  # it loads the model
                whole.append(pair[0])
                again.append(pair[1])
                if first.token is not None or cold.token is None or warm.token is None:
                    left_out += 1
                    continue
                compared.append(first.text - first.searched)
                never.append(cold)
                before.append(warm)
    told.figures["Ponant"] = {
        **_spreads("never read", never),
        **_spreads("read before", before),
        **spread("comparing sentences for the first time", compared),
        **_of_whole("whole passages, never read", whole),
        **_of_whole("whole passages, read before", again),
        "reading, read before, share of never read": _share(
            [one.reading for one in never], [one.reading for one in before]
        ),
        "whole passages, read before, share of never read": _share(
            [one.milliseconds for one in whole], [one.milliseconds for one in again]
        ),
        "answers": len(never),
    }
    told.notes["left out, since a model read for a year or none for the fact"] = left_out
    return told


def _share(never: Sequence[float], before: Sequence[float]) -> float:
    return round(statistics.median(two / one for one, two in zip(never, before, strict=True)), 3)


def _spreads(name: str, answers: Sequence[_Answer]) -> dict[str, float]:
    return {
        **spread(f"{name}: reading", [one.reading for one in answers]),
        **spread(f"{name}: rest of the answer", [one.rest for one in answers]),
        **spread(f"{name}: first sentence, from the request", [one.text for one in answers]),
        **_tokens(name, answers),
    }


def _of_whole(name: str, requests: Sequence[_Whole]) -> dict[str, float]:
    times = [one.milliseconds for one in requests]
    return {**spread(f"{name}: first token", times), **_tokens(name, requests)}


def _tokens(name: str, asked: Sequence[_Answer] | Sequence[_Whole]) -> dict[str, float]:
    return {
        f"{name}: tokens of the prompt, median": statistics.median(one.prompt for one in asked),
        f"{name}: of which kept, median": statistics.median(one.kept for one in asked),
    }


def _written(corpus: Path, facts: Sequence[Fact], texts: Sequence[str]) -> Path:
    corpus.mkdir()
    parts = [f"# {facts[0].title}", *(one.entry for one in facts), *texts]
    (corpus / "section.md").write_text("\n\n".join(parts) + "\n")
    return corpus


def _found(client: httpx.Client, library: str, question: str) -> str:
    asked = {"query": question, "limit": _PARAGRAPHS}
    found = client.post(f"/v1/libraries/{library}/search", json=asked).raise_for_status()
    return "\n\n".join(hit["text"] for hit in found.json()["data"])


def _read(client: httpx.Client, passages: str, question: str) -> _Whole:
    body = {
        "model": "starter",
        "max_tokens": 1,
        "temperature": 0,
        "messages": [{"role": "user", "content": f"{passages}\n\n{question}"}],
    }
    begun = time.perf_counter()
    answer = client.post("/v1/chat/completions", json=body, timeout=300).raise_for_status()
    took, usage = 1000 * (time.perf_counter() - begun), answer.json()["usage"]
    return _Whole(took, usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"])


def _ask(client: httpx.Client, library: str, question: str) -> _Answer:
    body = {
        "inputs": question,
        "model": "starter",
        "stream": True,
        "store": False,
        "completion_args": {"temperature": 0},
        "tools": [{"type": "document_library", "library_ids": [library]}],
    }
    begun = time.perf_counter()
    moments: dict[str, float] = {}
    done: dict[str, Any] = {}
    with client.stream("POST", "/v1/conversations", json=body, timeout=300) as response:
        for line in response.iter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line.removeprefix("data: "))
            moments.setdefault(event["type"], 1000 * (time.perf_counter() - begun))
            done = event
    if done.get("type") != "conversation.response.done" or "message.output.delta" not in moments:
        raise RuntimeError(f"An answer broke off or had no text: {done}")
    return _told(moments, done)


def _told(moments: dict[str, float], done: dict[str, Any]) -> _Answer:
    usage, speed = done["usage"], done["ponant"]["tokens_per_second"]
    end = moments["conversation.response.done"]
    return _Answer(
        searched=moments["tool.execution.done"],
        token=end - 1000 * (usage["completion_tokens"] - 1) / speed if speed else None,
        text=moments["message.output.delta"],
        end=end,
        prompt=usage["prompt_tokens"],
        kept=usage["prompt_tokens_details"]["cached_tokens"],
    )
