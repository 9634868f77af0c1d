"""Prepares text and questions for the keyword index: terms that the same words always become.

Words are lower-cased, cut to their stem in their text's language (Snowball) and freed of accents.
Chinese, Japanese and Thai are written without spaces: their runs become overlapping n-grams, in
documents and questions alike (pairs of characters; Thai, whose vowels are characters too, threes).
"""

import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

import Stemmer

from ponant.live.indexing.languages import FUNCTION_WORDS

GENERATION = 1
"""Counts the ways in which texts became terms; another one has every text laid out anew."""

_THAI = r"\u0e00-\u0e7f"
_HAN = r"\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_MARKS = r"\u0300-\u036f\u064b-\u065f\u0900-\u0903\u093a-\u094f\u0962\u0963"
_RUN = re.compile(f"[{_THAI}{_HAN}]+")
_PIECE = re.compile(f"[{_THAI}]+|[{_HAN}]+|(?:(?![{_THAI}{_HAN}_])[\\w{_MARKS}])+")
_ACCENTS = re.compile("[\u0300-\u036f]")
_QUOTED = re.compile(r'"([^"]+)"|“([^”]+)”|„([^“”]+)[“”]|«([^»]+)»')
_LONGEST = 64  # characters of a term
_KEPT = 1 << 17  # words whose terms are remembered
_MOST_TERMS = 32
_STEMMING = Lock()  # a stemmer serves one thread at a time


@dataclass(frozen=True, slots=True)
class Question:
    """What to look for.

    Attributes:
        terms: each in the forms that it has in the languages; one that ends in ``*`` is a
            beginning.
        phrases: terms that must stand side by side, in the forms of each language.
    """

    terms: tuple[tuple[str, ...], ...]
    phrases: tuple[tuple[tuple[str, ...], ...], ...]


def terms(text: str, language: str) -> Iterator[str]:
    """The terms of a text in its order."""
    for piece in _PIECE.findall(unicodedata.normalize("NFKC", text).lower()):
        size = _gram(piece)
        if size:
            yield from _grams(piece, size)
        else:
            yield _term(piece, language)


def question(query: str, languages: Collection[str]) -> Question:
    """What a query asks for in a library of these languages; function words only if alone."""
    quoted = [next(filter(None, groups)) for groups in _QUOTED.findall(query)]
    phrases = [
        tuple(dict.fromkeys(tuple(terms(one, lang)) for lang in languages)) for one in quoted
    ]
    pieces = list(
        dict.fromkeys(
            _PIECE.findall(unicodedata.normalize("NFKC", _QUOTED.sub(" ", query)).lower())
        )
    )
    common = frozenset().union(*(FUNCTION_WORDS.get(lang, frozenset()) for lang in languages))
    telling = [piece for piece in pieces if piece not in common] or pieces
    shapes = (form for piece in telling for form in _forms(piece, languages))
    found = dict.fromkeys(filter(None, shapes))  # nothing was written yet, so in no language
    return Question(
        terms=tuple(found)[:_MOST_TERMS],
        phrases=tuple(kept for forms in phrases if (kept := tuple(filter(None, forms)))),
    )


def places(
    text: str, languages: Collection[str], wanted: Collection[str]
) -> tuple[tuple[int, int], ...]:
    """Where terms stand in a text, as (start, end) in its order; what touches is one place."""
    found: list[tuple[int, int]] = []
    for match in _PIECE.finditer(text):
        for start, end in _matching(match.group(), languages, wanted):
            begin, stop = match.start() + start, match.start() + end
            if found and _gram(match.group()) and begin <= found[-1][1]:
                found[-1] = (found[-1][0], stop)
            else:
                found.append((begin, stop))
    return tuple(found)


def _matching(
    piece: str, languages: Collection[str], wanted: Collection[str]
) -> Iterator[tuple[int, int]]:
    size = _gram(piece)
    if not size:
        word = unicodedata.normalize("NFKC", piece).lower()
        if any(_term(word, language) in wanted for language in languages):
            yield 0, len(piece)
        return
    for begin in range(max(1, len(piece) - size + 1)):
        gram = piece[begin : begin + size]
        if gram in wanted:
            yield begin, begin + len(gram)


def spaced(text: str) -> str:
    """Text whose unspaced scripts are laid out as pairs of characters."""
    return _RUN.sub(lambda match: f" {' '.join(_grams(match.group(), 2))} ", text)


def _forms(piece: str, languages: Collection[str]) -> Iterator[tuple[str, ...]]:
    size = _gram(piece)
    if not size:
        yield tuple(dict.fromkeys(_term(piece, language) for language in languages))
    elif len(piece) < size:
        yield (f"{piece}*",)
    else:
        yield from ((gram,) for gram in _grams(piece, size))


def _gram(piece: str) -> int:
    """How many characters make a term of a run that is written without spaces; else 0."""
    first = piece[0]
    if first < "\u0e00" or _RUN.match(first) is None:
        return 0
    return 3 if first <= "\u0e7f" else 2


def _grams(run: str, size: int) -> Iterator[str]:
    if len(run) <= size:
        yield run
        return
    for begin in range(len(run) - size + 1):
        yield run[begin : begin + size]


@lru_cache(_KEPT)
def _term(word: str, language: str) -> str:
    with _STEMMING:
        stem = _stemmer(language).stemWord(word)
    if not stem.isascii():
        stem = _ACCENTS.sub("", unicodedata.normalize("NFKD", stem))
    return str(stem)[:_LONGEST]


@lru_cache
def _stemmer(language: str) -> Any:
    return Stemmer.Stemmer(language)
