"""Whether two answers to one question state the same facts, told without a model.

What is compared, in this order; the first that decides does:

1. the documents say something in one and nothing in the other: other facts
2. the same sentences in whatever order, beside others that in their order state the same one by
   one, by what follows: the same facts
3. numbers, times and amounts in one spelling, names, denials, and words that restrict or relate
   ("except", "only", "before"): any difference is another fact
4. both rest on the very same sentences of the documents: the same facts in other words
5. the question asks for a value (when, who, how much), both give the same values, and no word
   took the place of another: the same facts
6. every word that came stood in the sentence that the old answer rests on, and every word that
   went stands in the one that the new answer rests on, in the same order: the same facts

Whatever is left counts as other facts: to tell once too often is the lesser fault.
"""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import partial

from ponant.assistant.grounding import prompt, words
from ponant.assistant.grounding.sentences import split
from ponant.assistant.schemas import Source
from ponant.assistant.watches.schemas import Answer

_NAME = re.compile(r"(?<=[\w,;] )[^\W\d_a-zà-öø-ÿ]\w*")  # a capital inside a sentence
_RELATING = frozenset(
    words.words(
        """
        above after before below except fewer less maximum minimum more most must neither never no
        nobody none nor not only over than under unless until within without
        außer bis erst höchstens kein keine mehr mindestens nie niemals nicht niemand nur ohne über
        unter weniger
        aucun jamais jusque moins sans sauf seulement sous
        hasta menos nadie ninguno nunca salvo sin solo
        """
    )
)

_JOINING = frozenset(words.words("and or und oder et ou y e o ed"))


def difference(question: str, old: Answer, new: Answer) -> str:
    """How the facts of two answers differ, in a few words; empty where they do not."""
    empty = _folded(prompt.documents_do_not_say(question))
    before, after = _folded(old.text), _folded(new.text)
    if (before == empty) != (after == empty):
        return "The documents say it now." if before == empty else "The documents do not say it."
    gone, came = _apart(_sentences(old), _sentences(new))
    if len(gone) == len(came):
        return next(filter(None, map(partial(_differs, question), gone, came)), "")
    if gone and came:  # what both say hides no difference
        old, new = _together(gone), _together(came)
    return _differs(question, old, new)


def _differs(question: str, old: Answer, new: Answer) -> str:
    if _folded(old.text) == _folded(new.text):
        return ""
    return _values(old.text, new.text) or _wording(question, old, new)


def _apart(old: Sequence[Answer], new: Sequence[Answer]) -> tuple[list[Answer], list[Answer]]:
    """The sentences of each that do not stand in the other, in their order."""
    before, after = ({_folded(one.text) for one in answer} for answer in (old, new))
    gone = [one for one in old if _folded(one.text) not in after]
    return gone, [one for one in new if _folded(one.text) not in before]


def _sentences(answer: Answer) -> list[Answer]:
    """An answer's sentences, each with what it cites."""
    found: list[list[str | Source]] = []
    for piece in answer.content:
        if isinstance(piece, Source):
            found[-1:] = [[*found[-1], piece]] if found else []
        else:
            found += [[sentence] for sentence in split(piece) if _folded(sentence)]
    return [Answer(content=tuple(pieces)) for pieces in found]


def _together(sentences: Sequence[Answer]) -> Answer:
    pieces: list[str | Source] = []
    for one in sentences:
        pieces += [f" {piece}" if isinstance(piece, str) else piece for piece in one.content]
    return Answer(content=tuple(pieces))


def _values(old: str, new: str) -> str:
    """A difference that stands in single words or numbers."""
    for name, before, after in (
        ("numbers", words.numbers(old), words.numbers(new)),
        ("names", _names(old) - set(words.words(new)), _names(new) - set(words.words(old))),
        ("relations", _relating(old), _relating(new)),
    ):
        if before != after:
            return f"{name}: {_listed(before - after)} → {_listed(after - before)}"
    if words.denies(old) != words.denies(new):
        return "denial"
    return ""


def _wording(question: str, old: Answer, new: Answer) -> str:
    """A difference in the other words, of answers with the same values."""
    rests, rested = _support(new), _support(old)
    if rests and rests == rested:
        return ""
    before, after = _told(question, old.text), _told(question, new.text)
    gone = [word for word in before if not words.among(word, after)]
    came = [word for word in after if not words.among(word, before)]
    if not gone and not came:
        return "" if _in_one_order(before, after) else "order of words"
    if words.asks_for_a_fact(question) and _same_values(old.text, new.text, before, after):
        return ""
    known = all(words.among(word, words.content_words(" ".join(rested))) for word in came)
    kept = all(words.among(word, words.content_words(" ".join(rests))) for word in gone)
    if known and kept and _in_one_order(before, after):
        return ""
    return f"words: {_listed(gone)} → {_listed(came)}"


def _in_one_order(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether the words that both have stand in one order."""
    one = [word for word in before if words.among(word, after)]
    other = [word for word in after if words.among(word, before)]
    return all(words.same(a, b) for a, b in zip(one, other, strict=False))


def _same_values(old: str, new: str, before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether both give one value, and neither another in its place or beside it."""
    shared = any(words.among(word, after) for word in before)
    values = words.numbers(new) or _names(new) or shared
    return bool(values) and _parts(old) == _parts(new) and not _replaced(before, after)


def _parts(text: str) -> tuple[int, int]:
    """Of how many sentences a text is, and how many words join others in it."""
    return len(split(text)), sum(word in _JOINING for word in words.words(text))


def _told(question: str, text: str) -> list[str]:
    """The telling words of an answer that its question does not have already."""
    asked = words.content_words(question)
    return [word for word in words.content_words(text) if not words.among(word, asked)]


def _replaced(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether in the one a word stands where in the other another does."""
    merged = [next((old for old in before if words.same(old, word)), word) for word in after]
    codes = SequenceMatcher(None, before, merged, autojunk=False).get_opcodes()
    return any(what == "replace" for what, *_ in codes)


def _support(answer: Answer) -> tuple[str, ...]:
    """The sentence of each cited passage that is nearest to the answer, folded."""
    said = [*words.content_words(answer.text), *words.numbers(answer.text)]
    found: set[str] = set()
    for source in answer.cited:
        sentences = [one for one in split(source.text) if not one.startswith("#")]
        if sentences:
            found.add(_folded(max(sentences, key=lambda one: _shared(said, one))))
    return tuple(sorted(found))


def _shared(said: Sequence[str], sentence: str) -> float:
    return words.coverage(said, [*words.content_words(sentence), *words.numbers(sentence)])


def _names(text: str) -> set[str]:
    return {word for name in _NAME.findall(text) for word in words.words(name)}


def _relating(text: str) -> set[str]:
    return set(words.words(text)) & _RELATING


def _folded(text: str) -> str:
    return " ".join(words.words(text))


def _listed(found: Sequence[str] | set[str]) -> str:
    return ", ".join(sorted(found)) or "nothing"
