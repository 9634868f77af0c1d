"""Which sentences of the passages found may hold the answer, and whether any does.

A search always finds something. Here each sentence of what it found is compared with the question,
and only what stands out is shown to the model: a small model answers from two right sentences and
is led astray by twenty. The bounds were measured with multilingual-e5-small (bench/grounding.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from ponant.assistant.grounding import kinds, words
from ponant.assistant.grounding.judge import Judge
from ponant.assistant.grounding.sentences import paragraphs, split
from ponant.live.port import Hit

_MOST_SENTENCES = 32
_MOST_PASSAGES = 4

# A sentence's score is its cosine with the question, and up to so much for the question's words.
_FOR_WORDS = 0.05
_SURE = 0.89  # answers, whatever words it uses
_CERTAIN = 0.865  # answers, where it also speaks of all that was asked for
_POSSIBLE = 0.815
WORD_NEAR = 0.872  # cosine of two words of nearly one meaning
_MARGIN = 0.03
_DOUBTFUL_MARGIN = 0.005  # a weak match beside other weak ones leads a small model astray

# Shares of the question's words, where there is no embedder.
_ENOUGH_WORDS = 0.6
_WORD_MARGIN = 0.2


@dataclass(frozen=True, slots=True)
class Evidence:
    """The part of a passage that an answer may rest on.

    Attributes:
        number: under which the answer cites it, counted over everything that was found.
        sentences: those that stand out, in the order of the text.
        scores: how near each of them is to the question.
        certain: whether that alone shows that the question is answered here.
    """

    number: int
    hit: Hit
    sentences: tuple[str, ...]
    scores: tuple[float, ...]
    certain: bool

    @property
    def text(self) -> str:
        return " ".join(self.sentences)

    @property
    def score(self) -> float:
        return max(self.scores)


@dataclass(frozen=True, slots=True)
class _Scored:
    number: int
    hit: Hit
    position: int
    text: str
    paragraph: str
    score: float


async def select(question: str, hits: Sequence[Hit], judge: Judge) -> list[Evidence]:
    """What of ``hits`` may answer ``question``, in their order; empty where nothing does."""
    sentences = _sentences(question, hits)
    if not sentences:
        return []
    near = await judge.relevance(question, [f"{_title(one.hit)}: {one.text}" for one in sentences])
    if near is None:
        return _by_words(question, sentences)
    scored = [
        replace(one, score=cosine + _FOR_WORDS * one.score)
        for one, cosine in zip(sentences, near, strict=True)
    ]
    best = max(scored, key=lambda one: one.score)
    if best.score < _SURE and not await _possible(question, best, judge):
        return []
    certain = best.score >= _CERTAIN
    bound = best.score - (_MARGIN if certain else _DOUBTFUL_MARGIN)
    kept = [one for one in scored if one.score >= bound]
    kept += _completing(question, best, kept, scored)
    kept += _of_the_kind(question, kept, scored)
    return _gather(question, kept, certain=certain)


def _sentences(question: str, hits: Sequence[Hit]) -> list[_Scored]:
    """The sentences of all hits, scored by words; those with most of them first if too many."""
    wanted = words.content_words(question)
    found = [
        _Scored(number, hit, position, text, around, words.coverage(wanted, _words_of(hit, text)))
        for number, hit in enumerate(hits, 1)
        for position, (text, around) in enumerate(_with_paragraphs(hit.text))
        if _states(text)
    ]
    # Stable, so that the search's own order decides between equals.
    return sorted(_of_the_name(question, found), key=lambda one: -one.score)[:_MOST_SENTENCES]


def _with_paragraphs(text: str) -> list[tuple[str, str]]:
    return [(one, paragraph) for paragraph in paragraphs(text) for one in split(paragraph)]


def _of_the_name(question: str, found: list[_Scored]) -> list[_Scored]:
    """Without what speaks of "pipewire-bin", where "pipewire" is asked for and told of.

    Where nothing but a name is asked for, and a paragraph begins with it, those that only mention
    it tell of something else: "gmagick: a fork of magick".
    """
    asked = set(words.content_words(question))
    for name in words.tokens(question):
        if any(name in words.tokens(one.paragraph) for one in found):
            found = [one for one in found if not words.means_another(name, one.paragraph)]
        if asked and asked <= set(words.words(name)):
            found = _told_first(name, found)
    return found


def _told_first(name: str, found: list[_Scored]) -> list[_Scored]:
    """What stands in paragraphs that begin with a name, or under it; all if none begins so."""
    first = [words.first_token(one.paragraph) == name for one in found]
    if not any(first):
        return found
    return [
        one for one, is_first in zip(found, first, strict=True) if is_first or _heads(name, one)
    ]


def _heads(name: str, one: _Scored) -> bool:
    return name in words.tokens(_title(one.hit))


def _states(text: str) -> bool:
    """Whether a piece of text says something: no heading, which is known anyway, no question."""
    if text.startswith("#") or text.endswith("?"):
        return False
    return bool(words.content_words(text) or words.numbers(text))


async def _possible(question: str, best: _Scored, judge: Judge) -> bool:
    """Whether a sentence that is not sure still speaks of everything that was asked for."""
    if best.score < _POSSIBLE:
        return False
    held = words.words(_title(best.hit))
    wanted = [word for word in words.content_words(question) if not words.among(word, held)]
    near = await judge.nearest_words(wanted, best.hit.text)
    return near is None or all(cosine >= WORD_NEAR for cosine in near)


def _by_words(question: str, sentences: Sequence[_Scored]) -> list[Evidence]:
    best = max(one.score for one in sentences)
    covered = max(
        words.coverage(words.content_words(question), _words_of(one.hit, one.hit.text))
        for one in sentences
        if one.score == best
    )
    if best == 0 or covered < _ENOUGH_WORDS:
        return []
    kept = [one for one in sentences if one.score >= best - _WORD_MARGIN]
    kept += _of_the_kind(question, kept, sentences)
    return _gather(question, kept, certain=best == 1)


def _completing(
    question: str, best: _Scored, kept: Sequence[_Scored], scored: Sequence[_Scored]
) -> list[_Scored]:
    """Sentences beside the best one with words of the question that nothing kept has.

    "On Saturdays it is open from 10:00" speaks of the desk that the sentence before it names.
    """
    held = [word for one in kept for word in words.content_words(one.text)]
    missing = [word for word in words.content_words(question) if not words.among(word, held)]
    beside = [one for one in scored if one.number == best.number and one not in kept]
    if not missing:
        return []
    return [one for one in beside if words.coverage(missing, words.content_words(one.text)) > 0]


def _of_the_kind(
    question: str, kept: Sequence[_Scored], scored: Sequence[_Scored]
) -> list[_Scored]:
    """What the paragraphs of those kept say of the kind that is asked for, where none of them does.

    "It is released under the GPL-2+" may be far from the question that its paragraph is near to.
    """
    if any(kinds.answers(question, one.text) for one in kept):
        return []
    there = {(one.number, one.paragraph) for one in kept}
    beside = (one for one in scored if (one.number, one.paragraph) in there and one not in kept)
    return [one for one in beside if kinds.answers(question, one.text)]


def _above(one: _Scored) -> str:
    """What stands above a sentence: its title, and the first row of a table above the others."""
    if not one.paragraph.startswith("|"):
        return _title(one.hit)
    rows = (line for line in one.hit.text.splitlines() if line.startswith("|"))
    return f"{_title(one.hit)} {next(rows, '')}"


def _gather(question: str, kept: Sequence[_Scored], *, certain: bool) -> list[Evidence]:
    if not any(kinds.answers(question, one.paragraph, _above(one)) for one in kept):
        return []
    passages: dict[int, list[_Scored]] = {}
    for one in sorted(kept, key=lambda one: (one.number, one.position)):
        passages.setdefault(one.number, []).append(one)
    evidence = [
        Evidence(
            number=number,
            hit=group[0].hit,
            sentences=tuple(one.text for one in group),
            scores=tuple(one.score for one in group),
            certain=certain,
        )
        for number, group in passages.items()
    ]
    best_first = sorted(evidence, key=lambda one: -one.score)[:_MOST_PASSAGES]
    return sorted(best_first, key=lambda one: one.number)


def _title(hit: Hit) -> str:
    return f"{PurePath(hit.document_name).stem} {hit.heading}".strip()


def _words_of(hit: Hit, text: str) -> list[str]:
    return words.words(f"{_title(hit)} {text}")
