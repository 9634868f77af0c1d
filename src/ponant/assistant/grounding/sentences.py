"""Where sentences end, in documents and in an answer that is still being written."""

import re
from dataclasses import dataclass

_ABBREVIATIONS = re.compile(
    r"dr|prof|mr|mrs|ms|st|no|nr|art|abs|ca|bzw|usw|etc|vs|fig|vol|jr|sr|inc|ltd|co|dept|ext|tel"
    r"|approx|max|min|e\.g|i\.e|z\.b|d\.h|u\.a|o\.ä|p\.ej"
)
_MONTHS = re.compile(
    r"januar|februar|märz|april|mai|juni|juli|august|september|oktober|november|dezember"
)
_END = re.compile(r"[.!?…]+[\"'”»)]*(?=\s|$)|[。\uff01\uff1f]+[」』”]*|\n+")
_LAST_WORD = re.compile(r"([^\s(\[\"'“«]+)$")
_NEXT_WORD = re.compile(r"\s+(\w+)")
_CITATION = re.compile(r"[^\S\n]*\[(\d{1,3})\]")
_BETWEEN_PARAGRAPHS = re.compile(r"\n\s*\n|\n(?=[ \t]*(?:[-*+•|]|\d{1,3}[.)])\s)")
# A citation may still be coming while the text ends like this.
_OPEN_CITATION = re.compile(r"[^\S\n]*(?:\[\d{0,3})?")
_OPEN_SENTENCE = re.compile(r"[^\S\n]*\S*")


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of an answer and the numbers that stand behind it.

    ``text`` has the white space before the sentence, so that claims join to the answer.
    """

    text: str
    numbers: tuple[int, ...] = ()


def split(text: str) -> list[str]:
    """The sentences and lines of a text, without the white space around them."""
    pieces: list[str] = []
    start = 0
    while start < len(text):
        end = _sentence_end(text, start)
        stop = len(text) if end is None else end
        piece = text[start:stop].strip()
        if piece:
            pieces.append(piece)
        start = stop
    return pieces


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a text; each item of a list and each row of a table is one."""
    return [piece for piece in _BETWEEN_PARAGRAPHS.split(text) if piece.strip()]


class ClaimReader:
    """Cuts a growing answer into claims as soon as it is certain where each ends."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> list[Claim]:
        """The claims that ``text`` completes."""
        self._rest += text
        return self._take(final=False)

    def finish(self) -> list[Claim]:
        """What is left once the answer is over."""
        claims = self._take(final=True)
        if self._rest.strip():
            claims.append(Claim(self._rest))
        self._rest = ""
        return claims

    def _take(self, *, final: bool) -> list[Claim]:
        claims: list[Claim] = []
        while (found := self._next(final=final)) is not None:
            claim, consumed = found
            self._rest = self._rest[consumed:]
            claims.append(claim)
        return claims

    def _next(self, *, final: bool) -> tuple[Claim, int] | None:
        start = len(self._rest) - len(self._rest.lstrip())
        # A citation may also stand before the full stop, or where no full stop comes.
        early = _CITATION.search(self._rest)
        end = _sentence_end(self._rest, start)
        if early and (end is None or early.start() < end):
            return self._with_citations(early.start(), final=final, closing=True)
        if end is None:
            return None
        return self._with_citations(end, final=final, closing=False)

    def _with_citations(self, end: int, *, final: bool, closing: bool) -> tuple[Claim, int] | None:
        """The claim that ends at ``end`` with the numbers after it, once no more can follow."""
        text, position, numbers = self._rest[:end], end, []
        while match := _CITATION.match(self._rest, position):
            numbers.append(int(match.group(1)))
            position = match.end()
        tail = self._rest[position:]
        # "at 14." may go on with "May", and so a sentence waits for the word that follows it.
        undecided = _OPEN_CITATION if numbers else _OPEN_SENTENCE
        if not final and undecided.fullmatch(tail):
            return None
        if closing and (mark := re.match(r"[.!?]+(?=\s|$)", tail)):
            if not final and mark.end() == len(tail):
                return None
            text, position = text.rstrip() + mark.group(), position + mark.end()
        return Claim(text, tuple(dict.fromkeys(numbers))), position


def _sentence_end(text: str, start: int) -> int | None:
    """Where the sentence that begins at ``start`` ends, or None where the text stops before."""
    for match in _END.finditer(text, start):
        if match.group().isspace():
            if text[start : match.start()].strip():
                return match.start()
            continue
        if match.group().startswith(".") and _is_abbreviation(text, start, match):
            continue
        return match.end()
    return None


def _is_abbreviation(text: str, start: int, mark: re.Match[str]) -> bool:
    before = _LAST_WORD.search(text, start, mark.start())
    if before is None or len(mark.group()) > 1:
        return False
    word = before.group(1).casefold()
    if _ABBREVIATIONS.fullmatch(word):
        return True
    after = _NEXT_WORD.match(text, mark.end())
    if word.isdecimal():
        # "am 14. Mai": a German ordinal; "1. Open the lid": a numbered line.
        starts_line = not text[start : before.start()].strip()
        return starts_line or (
            after is not None and _MONTHS.fullmatch(after.group(1).casefold()) is not None
        )
    return len(word) == 1 and word.isalpha() and before.group(1).isupper()
