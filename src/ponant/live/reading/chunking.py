"""Cuts a document's text into passages along its structure.

Text falls into blocks (see `ponant.live.reading.blocks`), and blocks into passages: a heading
opens a new one and stands at its beginning; a paragraph is one, unless it is short or long; a long
table's passages carry its head. Whether a passage ends after a piece depends on that piece alone
and not on what came before (content-defined chunking, Muthitacharoen et al., LBFS, SOSP 2001), so
that an edit moves only its neighbours.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from ponant.live.reading.blocks import Block, Kind, blocks, code_blocks

LONGEST = 1100  # characters: a passage is short enough to point at
SHORTEST = 60  # a paragraph below this joins the next one
_LEAST_ROOM = 16  # tokens
_SHORT_PARAGRAPHS = 4  # so many make a passage, on average
_LONGEST_HEADING = 200  # characters
_WINDOW = 8  # characters that decide whether an endless word is cut after them

_RUN = re.compile(r"\w+|[^\w\s]")
_SPOKEN = re.compile(r"(?i)(?![a-z]*[bcdfghjklmnpqrstvwxz]{5})[a-z]{1,20}")

_LETTERS = "\u00aa-\u02af\u0370-\u058f\u05d0-\u06d3\u0900-\u0dff\u10a0-\u10ff\u1e00-\u1fff"
_TOKEN = re.compile(rf"[A-Za-z]+|[{_LETTERS}]+|\d|[^\W\d]|[^\w\s]")

# Where a block that is too long is cut, and how many of its parts make a passage, on average.
_SENTENCE = (re.compile(r"(?<=[.!?…])[\"'”»)\]]*\s+|(?<=[\u3002\uff01\uff1f])"), 4)
_LINE = (re.compile(r"\n"), 8)
_SPACE = (re.compile(r"\s+"), 64)
_SIGN = (re.compile(r"(?<=[,;:|})\]>\u3001\uff0c\uff1b\uff1a])"), 8)
_ITEM = (re.compile(r"\n(?=[ \t]*(?:[-*+\u2022]|\d{1,3}[.)])\s)"), 4)
_GAP = (re.compile(r"\n[ \t]*\n"), 2)
_CUTS: dict[Kind, tuple[tuple[re.Pattern[str], int], ...]] = {
    "heading": (_SPACE, _SIGN),
    "prose": (_SENTENCE, _LINE, _SPACE, _SIGN),
    "list": (_ITEM, _SENTENCE, _LINE, _SPACE, _SIGN),
    "table": (_LINE, _SPACE, _SIGN),
    "code": (_GAP, _LINE, _SPACE, _SIGN),
}


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage to be.

    Attributes:
        text: ``document[start:end]``.
        heading: the path of headings down to it, and where it begins amid a table, its head.
    """

    start: int
    end: int
    text: str
    heading: str

    @property
    def input(self) -> str:
        """What is embedded: the heading gives a short passage its subject."""
        return f"{self.heading}\n{self.text}" if self.heading else self.text


def chunk(text: str, *, max_tokens: int, code: bool = False) -> list[Chunk]:
    """Passages in the order of the text; each is estimated to fit ``max_tokens`` with its heading.

    The estimate is on the safe side for words of the sub-word vocabularies in use (see
    `estimate`); where it fails, `split` makes two of one.

    Args:
        code: no sign in the text is a heading.
    """
    headings: dict[int, str] = {}
    chunks: list[Chunk] = []
    for section in _sections(code_blocks(text) if code else blocks(text)):
        for block in section:
            if block.level:
                headings = {n: title for n, title in headings.items() if n < block.level}
                headings[block.level] = block.title
        path = _shorten(" > ".join(headings[level] for level in sorted(headings)))
        room = max(_LEAST_ROOM, max_tokens - estimate(path) - 4)
        for start, end, head in _spans(text, section, room):
            heading = " > ".join(filter(None, (path, head)))
            chunks.append(Chunk(start, end, text[start:end], heading))
    return chunks


def split(piece: Chunk) -> list[Chunk]:
    """A passage that proved too long in halves; one that cannot be cut loses its heading."""
    whole = Block(0, len(piece.text), "prose")
    room = max(1, estimate(piece.text) // 2)
    edges: list[tuple[int, int]] = []
    for start, end, _ in _fitting(piece.text, whole, room):
        if edges and estimate(piece.text[edges[-1][0] : end]) <= room:
            edges[-1] = (edges[-1][0], end)
        else:
            edges.append((start, end))
    heading = piece.heading if len(edges) > 1 else ""
    return [
        Chunk(piece.start + start, piece.start + end, piece.text[start:end], heading)
        for start, end in edges
    ]


def estimate(text: str) -> int:
    """An estimate of the tokens in a text, rather too high than too low.

    Words in Latin letters count by three letters, in other alphabets by two; every other sign, such
    as one of Chinese, Japanese or Thai, counts one.
    """
    return sum(
        1
        if len(match) == 1
        else (len(match) + 2) // 3
        if match.isascii()
        else (len(match) + 1) // 2
        for match in _TOKEN.findall(text)
    )


def most_tokens(text: str) -> int:
    """What a text can hardly exceed: words that can be spoken by 1.5 letters, all else by signs."""
    return sum(
        (2 * len(match) + 2) // 3 if _SPOKEN.fullmatch(match) else len(match)
        for match in _RUN.findall(text)
    )


def _shorten(heading: str) -> str:
    return heading if len(heading) <= _LONGEST_HEADING else heading[-_LONGEST_HEADING:]


def _sections(found: Iterable[Block]) -> Iterator[list[Block]]:
    """Runs of blocks under the same headings, which come first."""
    section: list[Block] = []
    for block in found:
        if block.level and section and not section[-1].level:
            yield section
            section = []
        section.append(block)
    if section:
        yield section


@dataclass(frozen=True, slots=True)
class _Piece:
    """A block or a part of one.

    Attributes:
        ends: whether a passage ends after it.
        head: of the table that it continues.
    """

    start: int
    end: int
    ends: bool
    head: str


def _spans(text: str, section: list[Block], room: int) -> Iterator[tuple[int, int, str]]:
    """Where the passages of one section begin and end, and the head that each carries."""
    pieces = [piece for block in section for piece in _pieces(text, block, room)]
    first = last = pieces[0]
    size = estimate(text[first.start : first.end])
    for piece in pieces[1:]:
        more = estimate(text[last.end : piece.end])
        fits = piece.end - first.start <= LONGEST and size + more <= room
        if not last.ends and fits:
            size += more
        else:
            yield first.start, last.end, first.head
            first, size = piece, estimate(text[piece.start : piece.end])
        last = piece
    yield first.start, last.end, first.head


def _pieces(text: str, block: Block, room: int) -> Iterator[_Piece]:
    carried = block.title if block.kind == "table" else ""
    if carried and (
        block.end - block.start > LONGEST or estimate(text[block.start : block.end]) > room
    ):
        room = max(_LEAST_ROOM, room - estimate(carried))
    parts = list(_fitting(text, block, room))
    for place, (start, end, run) in enumerate(parts):
        whole = len(parts) == 1 and end - start >= SHORTEST
        ends = not block.level and (whole or _chance(text[start:end], run))
        yield _Piece(start, end, ends, carried if place > 0 else "")


def _chance(text: str, run: int) -> bool:
    """True for one text in ``run``, always the same ones."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass")) % run == 0


def _fitting(text: str, block: Block, room: int) -> Iterator[tuple[int, int, int]]:
    """A block whole, or cut where its kind is cut best, then finer, until each part fits.

    Yields:
        Where a part begins and ends, and how many like it make a passage.
    """
    waiting = [(block.start, block.end, _SHORT_PARAGRAPHS)]
    while waiting:
        start, end, run = waiting.pop()
        span = text[start:end]
        if len(span) <= LONGEST and estimate(span) <= room:
            if span.strip():
                yield start, start + len(span.rstrip()), run
            continue
        cuts, run = _cuts(span, block.kind)
        edges = [start, *(start + cut for cut in cuts), end]
        waiting += [(begin, stop, run) for begin, stop in reversed(list(pairwise(edges)))]


def _cuts(span: str, kind: Kind) -> tuple[list[int], int]:
    """Where to cut a span that is too long, and how many of the parts make a passage."""
    for boundary, run in _CUTS[kind]:
        inside = {match.end() for match in boundary.finditer(span)} - {0, len(span)}
        if inside:
            return sorted(inside), run
    inside = {end for end in range(_WINDOW, len(span)) if _chance(span[end - _WINDOW : end], 64)}
    return sorted(inside) or [len(span) // 2], 8
