"""What Debian's reference says of commands, packages and files: one fact a question can ask for.

The facts are rows of the manual's own tables, laid out as the entries of a list under the title of
their section, without the manual's links and counters.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.live_texts import manual

_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_KEY = re.compile(r"`([\w.+/-]{2,40})`")
_SHORTEST, _LONGEST = 25, 140  # characters of a fact


@dataclass(frozen=True, slots=True)
class Fact:
    """``key`` is ``text``, as a table of the section ``title`` says."""

    key: str
    text: str
    title: str

    @property
    def question(self) -> str:
        return f"What is {self.key}?"

    @property
    def entry(self) -> str:
        return self.entry_with(self.text)

    def entry_with(self, text: str) -> str:
        """What an entry of that key says."""
        return f"{self.key} is described as: {text}."


def facts(count: int) -> list[Fact]:
    """That many of them, drawn by a seed, in the order of the manual.

    What names its own key is left out: given to another key, it would still tell of this one.
    """
    known = [one for one in _all() if one.key.casefold() not in one.text.casefold()]
    chosen = sorted(random.Random(11).sample(range(len(known)), min(count, len(known))))
    return [known[number] for number in chosen]


def section_by_section(least: int) -> list[list[Fact]]:
    """The facts of each section that has at least so many."""
    return [there for there in _sections().values() if len(there) >= least]


def write(folder: Path) -> dict[str, Path]:
    """Lay every fact out; returns each one's file by its key."""
    sections = _sections()
    folder.mkdir(parents=True)
    places: dict[str, Path] = {}
    for number, (title, there) in enumerate(sections.items()):
        path = folder / f"section{number:03}.md"
        path.write_text(f"# {title}\n\n" + "\n\n".join(one.entry for one in there) + "\n")
        places |= {one.key: path for one in there}
    return places


def _sections() -> dict[str, list[Fact]]:
    found: dict[str, list[Fact]] = {}
    for fact in _all():
        found.setdefault(fact.title, []).append(fact)
    return found


def _all() -> list[Fact]:
    found: dict[str, Fact] = {}
    for section in manual.sections("en"):
        for key, text in _rows(section.text):
            found.setdefault(key, Fact(key, text, section.title))
    return list(found.values())


def _rows(text: str) -> Iterator[tuple[str, str]]:
    """First and last cells of a section's tables, where they are a name and a sentence."""
    for line in text.splitlines():
        cells = [_LINK.sub(r"\1", cell).strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|") or len(cells) < 2:
            continue
        key, said = _KEY.fullmatch(cells[0]), cells[-1].replace("`", "").rstrip(".")
        if key and _SHORTEST <= len(said) <= _LONGEST and " " in said:
            yield key.group(1), said
