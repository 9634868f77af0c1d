"""Names passages so that the same text keeps its name, and tells what became of the others."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Protocol

from ponant.live.reading.chunking import Chunk


def fingerprint(text: str) -> str:
    """Names a text: the first 128 bits of its SHA-256, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document's text under its name; ``input_hash`` names what is embedded."""

    passage_id: str
    hash: str
    input_hash: str
    position: int
    start: int
    end: int
    heading: str
    text: str


def passages(document_id: str, chunks: Sequence[Chunk]) -> list[Passage]:
    """Passages whose ids depend on nothing but document, text and how often it came before."""
    seen: Counter[str] = Counter()
    found: list[Passage] = []
    for position, chunk in enumerate(chunks):
        digest = fingerprint(chunk.text)
        occurrence, seen[digest] = seen[digest], seen[digest] + 1
        name = fingerprint(f"{document_id}/{digest}/{occurrence}")
        found.append(
            Passage(
                passage_id=f"psg_{name[:26]}",
                hash=digest,
                input_hash=fingerprint(chunk.input),
                position=position,
                start=chunk.start,
                end=chunk.end,
                heading=chunk.heading,
                text=chunk.text,
            )
        )
    return found


class _Named(Protocol):
    @property
    def passage_id(self) -> str: ...
    @property
    def hash(self) -> str: ...


def fates(before: Sequence[_Named], after: Sequence[_Named]) -> dict[str, str]:
    """Which lost passages had their place taken by others: those are ``changed``."""
    matcher = SequenceMatcher(
        None, [row.hash for row in before], [row.hash for row in after], autojunk=False
    )
    return {
        row.passage_id: "changed"
        for what, begin, end, _, _ in matcher.get_opcodes()
        if what == "replace"
        for row in before[begin:end]
    }
