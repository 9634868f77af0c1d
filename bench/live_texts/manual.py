"""Debian's reference manual in six languages, read as Ponant reads files.

The translations have the same sections in the same order, so that a section's title in one
language asks for its text in another.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.engine_peers.contender import CHECKOUT, HOME
from ponant.live.reading.parsing import Parser

FOLDER = Path("/usr/share/debian-reference")
LANGUAGES = {"en": "en", "fr": "fr", "de": "de", "es": "es", "id": "id", "zh": "zh-cn"}
_KEPT = HOME / "manual"
_READING = CHECKOUT / "src" / "ponant" / "live" / "reading"
_SHORTEST, _LONGEST = 120, 600  # characters of a paragraph that makes a passage by itself
_HEADING = re.compile(r"^(#{1,6})\s+([\dA-Z]+(?:\.\d+)+)\.\s+(.*)$")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Section:
    """A section by its number, such as ``2.1.3``; ``text`` is all up to the next heading."""

    number: str
    title: str
    text: str


@cache
def chapters(language: str) -> dict[str, str]:
    """The chapters as Markdown, by file name."""
    paths = sorted(FOLDER.glob(f"ch*.{LANGUAGES[language]}.html"))
    if not paths:
        raise SystemExit("Debian's reference manual is missing: run `make debian`.")
    kept = _KEPT / f"{language}-{_reader()}.json"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(asyncio.run(_read(paths))))
    found: dict[str, str] = json.loads(kept.read_text())
    return found


def _reader() -> str:
    """Names the code that reads, so that another one reads anew."""
    digest = hashlib.sha256()
    for path in sorted(_READING.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


async def _read(paths: list[Path]) -> dict[str, str]:
    parser = Parser()
    try:
        return {path.name: await parser.text(path.read_bytes(), "text/html") for path in paths}
    finally:
        await parser.close()


def sections(language: str) -> list[Section]:
    """Every section that has text of its own, in order."""
    return [section for text in chapters(language).values() for section in _sections(text)]


def _sections(text: str) -> Iterator[Section]:
    number, title, lines = "", "", list[str]()
    for line in [*text.splitlines(), "# 0.0. end"]:
        if match := _HEADING.match(line):
            body = "\n".join(lines).strip()
            if number and len(body) >= _SHORTEST:
                yield Section(number, title, body)
            number, title, lines = match.group(2), _LINK.sub(r"\1", match.group(3)), []
        else:
            lines.append(line)


def paragraphs(*languages: str) -> list[str]:
    """Paragraphs of running text that are a passage by themselves."""
    found: dict[str, None] = {}
    for language in languages:
        for text in chapters(language).values():
            for part in text.split("\n\n"):
                plain = " ".join(_LINK.sub(r"\1", part).split())
                is_text = not plain.startswith(("#", "|", "`", "-", "*", ">"))
                if is_text and _SHORTEST <= len(plain) <= _LONGEST:
                    found[plain] = None
    return list(found)


def write(folder: Path, passages: int, per_file: int = 10) -> list[Path]:
    """Lay paragraphs out as files of ``per_file`` passages."""
    texts = paragraphs("en", "fr", "de")[:passages]
    if len(texts) < passages:
        raise ValueError(f"The manual has {len(texts)} such paragraphs, not {passages}.")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for begin in range(0, passages, per_file):
        path = folder / f"manual{begin // per_file:04}.md"
        path.write_text("\n\n".join(texts[begin : begin + per_file]) + "\n")
        paths.append(path)
    return paths
