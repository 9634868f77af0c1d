"""Cuts a document's text into passages along its structure.

Text is Markdown, or plain text, which has the same paragraphs. It falls into blocks (headings,
paragraphs, lists, tables, code), and blocks into passages: a heading opens a new one and stands
at its beginning; a paragraph is one, unless it is short or long. Whether a passage ends after a
piece depends on that piece alone and not on what came before (content-defined chunking,
Muthitacharoen et al., LBFS, SOSP 2001), so that an edit moves only its neighbours.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

LONGEST = 1100  # characters: a passage is short enough to point at
SHORTEST = 120  # a paragraph below this joins the next one
_SHORT_PARAGRAPHS = 4  # so many make a passage, on average
_SENTENCES = 4
_LINES = 8
_WORDS = 64

_FENCE = re.compile(r"^\s{0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*\s*$")
_UNDERLINE = re.compile(r"^\s{0,3}(=+|-+)\s*$")
_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”»)\]]*\s+|(?<=[\u3002\uff01\uff1f])")
_LINE = re.compile(r"\n")
_SPACE = re.compile(r"\s+")
_TOKEN = re.compile(r"[A-Za-z]+|\d|[^\W\d]|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage to be: ``text`` is ``document[start:end]``; ``heading`` is the path down to it."""

    start: int
    end: int
    text: str
    heading: str

    @property
    def input(self) -> str:
        """What is embedded: the heading gives a short passage its subject."""
        return f"{self.heading}\n{self.text}" if self.heading else self.text


@dataclass(frozen=True, slots=True)
class _Block:
    start: int
    end: int
    level: int = 0  # of a heading; 0 is any other block
    title: str = ""


def chunk(text: str, *, max_tokens: int) -> list[Chunk]:
    """Passages in the order of the text; each is estimated to fit ``max_tokens`` with its heading.

    The estimate is on the safe side for the sub-word vocabularies in use (see `estimate`).
    """
    headings: dict[int, str] = {}
    chunks: list[Chunk] = []
    for section in _sections(text):
        for block in section:
            if block.level:
                headings = {n: title for n, title in headings.items() if n < block.level}
                headings[block.level] = block.title
        heading = _shorten(" > ".join(headings[level] for level in sorted(headings)))
        room = max(16, max_tokens - estimate(heading) - 4)
        for start, end in _spans(text, section, room):
            chunks.append(Chunk(start, end, text[start:end], heading))
    return chunks


def estimate(text: str) -> int:
    """An upper estimate of the tokens in a text: words by three letters, other signs one each."""
    return sum(
        (len(match) + 2) // 3 if match.isascii() and match.isalpha() else 1
        for match in _TOKEN.findall(text)
    )


def _shorten(heading: str) -> str:
    return heading if len(heading) <= 200 else heading[-200:]


def _sections(text: str) -> Iterator[list[_Block]]:
    """Runs of blocks under the same headings, which come first."""
    section: list[_Block] = []
    for block in _blocks(text):
        if block.level and section and not section[-1].level:
            yield section
            section = []
        section.append(block)
    if section:
        yield section


def _blocks(text: str) -> Iterator[_Block]:
    """Paragraph-like blocks without the blank lines between them."""
    fence = ""
    start: int | None = None
    previous = ""
    offset = 0
    for line in text.splitlines(keepends=True):
        begin, offset = offset, offset + len(line)
        if fence:
            if line.strip().startswith(fence):
                fence = ""
            continue
        if mark := _FENCE.match(line):
            fence = mark.group(1)
            start = begin if start is None else start
            continue
        if not line.strip():
            if start is not None:
                yield _trimmed(text, start, begin)
            start, previous = None, ""
            continue
        if match := _HEADING.match(line):
            if start is not None:
                yield _trimmed(text, start, begin)
            yield _Block(begin, begin + len(line.rstrip()), len(match.group(1)), match.group(2))
            start, previous = None, ""
            continue
        if start is not None and previous and _UNDERLINE.match(line) and "|" not in previous:
            level = 1 if line.strip().startswith("=") else 2
            yield _Block(start, begin + len(line.rstrip()), level, previous.strip())
            start, previous = None, ""
            continue
        previous = line if start is None else ""
        start = begin if start is None else start
    if start is not None:
        yield _trimmed(text, start, len(text))


def _trimmed(text: str, start: int, end: int) -> _Block:
    return _Block(start, start + len(text[start:end].rstrip()))


def _spans(text: str, section: list[_Block], room: int) -> Iterator[tuple[int, int]]:
    """Where the passages of one section begin and end."""
    pieces = [piece for block in section for piece in _pieces(text, block, room)]
    start, end, ends = pieces[0].start, pieces[0].end, pieces[0].ends
    for piece in pieces[1:]:
        joined = text[start : piece.end]
        if not ends and len(joined) <= LONGEST and estimate(joined) <= room:
            end = piece.end
        else:
            yield start, end
            start, end = piece.start, piece.end
        ends = piece.ends
    yield start, end


@dataclass(frozen=True, slots=True)
class _Piece:
    """A block or a part of one; ``ends`` is whether a passage ends after it."""

    start: int
    end: int
    ends: bool


def _pieces(text: str, block: _Block, room: int) -> Iterator[_Piece]:
    parts = list(_fitting(text, block.start, block.end, room, _SHORT_PARAGRAPHS))
    for start, end, run in parts:
        whole = len(parts) == 1 and end - start >= SHORTEST
        yield _Piece(start, end, not block.level and (whole or _chance(text[start:end], run)))


def _chance(text: str, run: int) -> bool:
    """True for one text in ``run``, always the same ones."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass")) % run == 0


def _fitting(
    text: str, start: int, end: int, room: int, run: int
) -> Iterator[tuple[int, int, int]]:
    """A span whole, or cut at sentences, lines, spaces or anywhere, in that order, until each fits.

    Yields:
        Where a part begins and ends, and how many like it make a passage.
    """
    span = text[start:end]
    if len(span) <= LONGEST and estimate(span) <= room:
        if span.strip():
            yield start, start + len(span.rstrip()), run
        return
    cuts, run = _cuts(span, start)
    for begin, stop in pairwise([start, *cuts, end]):
        yield from _fitting(text, begin, stop, room, run)


def _cuts(span: str, start: int) -> tuple[list[int], int]:
    """Where to cut a span that is too long, and how many of the parts make a passage."""
    for boundary, run in ((_SENTENCE, _SENTENCES), (_LINE, _LINES), (_SPACE, _WORDS)):
        inside = {match.end() for match in boundary.finditer(span)} - {0, len(span)}
        if inside:
            return [start + cut for cut in sorted(inside)], run
    return [start + len(span) // 2], 1
