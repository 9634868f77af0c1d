"""Text to blocks: headings, paragraphs, lists, tables and code, without the blank lines between."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["heading", "prose", "list", "table", "code"]

_FENCE = re.compile(r"^\s{0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*\s*$")
_UNDERLINE = re.compile(r"^\s{0,3}(=+|-+)\s*$")
_ITEM = re.compile(r"^\s*(?:[-*+\u2022]|\d{1,3}[.)])\s")
_RULE = re.compile(r"^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$")
_CLOSING = ("}", ")", "]", "end")  # what stands at the margin and still belongs to what it closes
_LONGEST_HEAD = 200  # characters of a table's head that its pieces carry


@dataclass(frozen=True, slots=True)
class Block:
    """``text[start:end]``.

    Attributes:
        level: of a heading, from 1.
        title: of a heading; of a table its head, which every piece of it needs to be understood.
    """

    start: int
    end: int
    kind: Kind
    level: int = 0
    title: str = ""


def blocks(text: str) -> Iterator[Block]:
    """The blocks of Markdown, or of plain text, which has the same paragraphs."""
    fence = ""
    start: int | None = None
    previous = ""
    offset = 0
    for line in text.splitlines(keepends=True):
        begin, offset = offset, offset + len(line)
        if fence:
            if line.strip().startswith(fence):
                yield _trimmed(text, start or 0, offset, "code")
                fence, start, previous = "", None, ""
            continue
        mark, heading = _FENCE.match(line), _HEADING.match(line)
        under = start is not None and previous and _UNDERLINE.match(line) and "|" not in previous
        if under:
            level = 1 if line.strip().startswith("=") else 2
            yield Block(start or 0, begin + len(line.rstrip()), "heading", level, previous.strip())
            start, previous = None, ""
        elif mark or heading or not line.strip():
            if start is not None:
                yield _told(text, start, begin)
            start, previous = None, ""
            if mark:
                fence, start = mark.group(1), begin
            if heading:
                level = len(heading.group(1))
                end = begin + len(line.rstrip())
                yield Block(begin, end, "heading", level, heading.group(2))
        else:
            previous = line if start is None else ""
            start = begin if start is None else start
    if start is not None:
        yield _trimmed(text, start, len(text), "code") if fence else _told(text, start, len(text))


def code_blocks(text: str) -> Iterator[Block]:
    """The blocks of code: what begins at the margin after a blank line, with all below it."""
    start: int | None = None
    after_blank = True
    offset = 0
    for line in text.splitlines(keepends=True):
        begin, offset = offset, offset + len(line)
        if not line.strip():
            after_blank = True
            continue
        is_new = after_blank and not line[0].isspace() and not line.startswith(_CLOSING)
        after_blank = False
        if is_new and start is not None:
            yield _trimmed(text, start, begin, "code")
        if is_new or start is None:
            start = begin
    if start is not None:
        yield _trimmed(text, start, len(text), "code")


def _told(text: str, start: int, end: int) -> Block:
    """A block of the kind that its first lines tell."""
    lines = text[start:end].split("\n", 2)
    if len(lines) > 1 and "|" in lines[0] and _RULE.match(lines[1]):
        cells = " | ".join(cell.strip() for cell in lines[0].strip().strip("|").split("|"))
        return _trimmed(text, start, end, "table", cells[:_LONGEST_HEAD])
    return _trimmed(text, start, end, "list" if _ITEM.match(lines[0]) else "prose")


def _trimmed(text: str, start: int, end: int, kind: Kind, title: str = "") -> Block:
    return Block(start, start + len(text[start:end].rstrip()), kind, 0, title)
