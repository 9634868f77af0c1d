"""Whether a sentence of an answer is borne out by a passage.

A sentence stands on a passage when the passage has every number that it names, and has its words
or says nearly the same. It is a check of words and nearness: a sentence that turns a passage's
meaning round with the passage's own words is not found out.
"""

import re
from collections.abc import Sequence

from ponant.assistant.grounding import words
from ponant.assistant.grounding.evidence import WORD_NEAR, Evidence
from ponant.assistant.grounding.judge import Judge
from ponant.assistant.grounding.sentences import paragraphs

_ALL_WORDS = 1.0
_MOST_WORDS = 0.75
_HALF_THE_WORDS = 0.5
_NEARLY_THE_SAME = 0.93  # cosine of two statements under multilingual-e5-small
_LIGHT = 2
_SHORTEST = 3
_NAME = re.compile(r"(?<=[\w,;] )[^\W\d_a-zà-öø-ÿ]\w+")  # a capital inside a sentence


async def supporters(
    sentence: str, question: str, evidence: Sequence[Evidence], judge: Judge, *, strict: bool
) -> list[int]:
    """Places in ``evidence`` of the passages that bear the sentence out, strongest first.

    Args:
        strict: to say nearly the same in other words is not enough, nor news that is partly true.
    """
    if echoes(sentence, question) or not _has_substance(sentence):
        return []
    sure: list[tuple[float, int]] = []
    doubtful: list[tuple[float, int]] = []
    wanted = words.content_words(sentence)
    # What the sentence adds to the question must be in the passage, not only what it repeats.
    added = _added(sentence, question)
    for place, one in enumerate(evidence):
        share, news = _held(wanted, added, one, each=strict)
        if share < _HALF_THE_WORDS or await _contradicts(sentence, question, one, judge):
            continue
        if share >= _MOST_WORDS and news >= (_ALL_WORDS if strict else _HALF_THE_WORDS):
            sure.append((share + _in_view(sentence, one), place))
        elif news > 0:
            doubtful.append((share, place))
    if not sure and doubtful and not strict:
        sure = await _nearly_the_same(sentence, evidence, doubtful, judge)
    return [place for _, place in _strongest(sure)]


def asserts_nothing(sentence: str) -> bool:
    """Whether a sentence only leads in or agrees ("Yes.", "Here is what I found:")."""
    short = len(words.content_words(sentence)) <= _LIGHT
    return short and not words.numbers(sentence) and not words.denies(sentence)


def echoes(sentence: str, question: str) -> bool:
    """Whether a sentence is empty, asks, or gives a question for a fact its own words back."""
    if sentence.endswith("?") or sentence.startswith("#"):
        return True
    if words.numbers(sentence) or _added(sentence, question):
        return False
    return words.asks_for_a_fact(question) or not words.content_words(sentence)


def invents(sentence: str, known: str) -> bool:
    """Whether a sentence names a number or a name that ``known`` does not hold."""
    if not words.numbers(sentence) <= words.numbers(known):
        return True
    held = words.words(known)
    names = _NAME.findall(sentence.strip())
    return any(not words.among(name.casefold(), held) for name in names)


def _has_substance(sentence: str) -> bool:
    """Whether more is said than "Dr." or "No.", at which a small model sometimes stops."""
    short = all(len(word) < _SHORTEST and word.isascii() for word in words.content_words(sentence))
    return bool(words.numbers(sentence)) or not short


def _added(sentence: str, question: str) -> list[str]:
    asked = words.content_words(question)
    return [word for word in words.content_words(sentence) if not words.among(word, asked)]


def _held(
    wanted: Sequence[str], added: Sequence[str], one: Evidence, *, each: bool
) -> tuple[float, float]:
    """The shares of a sentence's words, and of its news, in the one paragraph that has most.

    What stands in another paragraph, such as the next item of a list, may speak of something else;
    it does where a name with a digit is missing.

    Args:
        each: a word of the paragraph stands for one of the news: "a file that converts files" is
            not all in "converts files".
    """
    title = words.words(f"{one.hit.document_name} {one.hit.heading}")
    codes = {word for word in wanted if words.is_code(word)}
    best = 0.0, 0.0
    for part in paragraphs(one.hit.text):
        held = [*title, *words.words(part)]
        if codes <= set(held):
            told = words.matched(added, held) if each else words.coverage(added, held)
            best = max(best, (words.coverage(wanted, held), told))
    return best


def _all_of(one: Evidence) -> str:
    return f"{one.hit.document_name} {one.hit.heading} {one.hit.text}"


async def _contradicts(sentence: str, question: str, one: Evidence, judge: Judge) -> bool:
    """Whether a sentence says what this passage does not, in a way that words alone hide."""
    given = _all_of(one)
    if not words.numbers(sentence) <= words.numbers(given):
        return True
    if words.denies(sentence) and not words.denies(given):
        return True
    return await _changes_the_subject(sentence, question, one, judge)


def _in_view(sentence: str, one: Evidence) -> float:
    """How much of the sentence stands in the very sentences that were shown."""
    shown = words.numbers(one.text) | set(words.content_words(one.text))
    wanted = [*words.content_words(sentence), *words.numbers(sentence)]
    return words.coverage(wanted, shown)


async def _changes_the_subject(sentence: str, question: str, one: Evidence, judge: Judge) -> bool:
    """Whether the sentence takes over a word of the question that the passage knows nothing of.

    "The library opens at 08:30" is no answer from a passage on the desk that opens at 08:30.
    """
    asked, held = words.content_words(question), words.content_words(_all_of(one))
    taken = [word for word in words.content_words(sentence) if words.among(word, asked)]
    strange = [word for word in taken if not words.among(word, held)]
    near = await judge.nearest_words(strange, one.hit.text)
    return bool(strange) if near is None else any(cosine < WORD_NEAR for cosine in near)


async def _nearly_the_same(
    sentence: str, evidence: Sequence[Evidence], doubtful: list[tuple[float, int]], judge: Judge
) -> list[tuple[float, int]]:
    kept: list[tuple[float, int]] = []
    for share, place in doubtful:
        near = await judge.likeness(sentence, evidence[place].sentences)
        if near is not None and max(near) >= _NEARLY_THE_SAME:
            kept.append((share, place))
    return kept


def _strongest(candidates: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Those that bear the sentence out nearly as well as the best, best first."""
    ranked = sorted(candidates, key=lambda one: (-one[0], one[1]))
    return [one for one in ranked if one[0] >= ranked[0][0] - 0.25]
