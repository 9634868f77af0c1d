"""What kind of thing a question asks for, and whether a text has anything of that kind.

"Under which licence is it published?" is answered by no sentence that speaks of no licence, however
much it says of the thing. Numbers and times are kinds, too (`quantities`); the others are those
whose absence words can show. A text that may have one counts as having one.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Any

from ponant.assistant.grounding import quantities, words

_CAPITAL = "A-ZÀ-ÖØ-Þ"
_NAMES = re.compile(
    rf"(?<=[^\W_])[,;)]? [(\"'“\u2018«]?([{_CAPITAL}][^\W\d_{_CAPITAL}][\w-]*)"  # inside a sentence
    rf"|([{_CAPITAL}][\w'\u2019-]+) (?=[{_CAPITAL}][^\W\d_{_CAPITAL}])"  # the first of two
    rf"|\|\s*([{_CAPITAL}][^\W\d_{_CAPITAL}][\w-]*)"  # in a table
)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a kind is asked for and told.

    Attributes:
        anywhere: whether it shows in texts of every language, not only in English ones.
        named: whether any name may be one.
    """

    asking: re.Pattern[str]
    telling: re.Pattern[str]
    anywhere: bool
    named: bool

    def shows(self, question: str, text: str, title: str) -> bool:
        """Whether a text has one, or may have."""
        if self.telling.search(f"{title} {text}"):
            return True
        if not (self.anywhere or words.is_english(text)):
            return True
        return self.named and any(_other_names(question, text))


def _read() -> tuple[_Kind, ...]:
    text = resources.files(__package__).joinpath("kinds.toml").read_text("utf-8")
    return tuple(_kind(**known) for known in tomllib.loads(text).values())


def _kind(
    asking: dict[str, list[str]],
    telling: list[str],
    exactly: Iterable[str] = (),
    **known: Any,
) -> _Kind:
    asked = [pattern for patterns in asking.values() for pattern in patterns]
    return _Kind(
        asking=re.compile("|".join(rf"\b(?:{pattern})" for pattern in asked)),
        telling=re.compile("|".join([*(f"(?i:{one})" for one in telling), *exactly])),
        anywhere=known.get("anywhere", False),
        named=known.get("named", False),
    )


_KINDS = _read()


def answers(question: str, text: str, title: str = "") -> bool:
    """Whether a text may answer by its kind: it has one of those asked for, or none is.

    Args:
        title: what stands above the text; names in it are not of the text.
    """
    if quantities.wanted(question):
        return quantities.told(question, text)
    folded = words.folded(question)
    asked = [kind for kind in _KINDS if kind.asking.search(folded)]
    return not asked or any(kind.shows(question, text, title) for kind in asked)


def _other_names(question: str, text: str) -> Iterable[str]:
    """Words that look like names, but for those that the question has."""
    asked = words.words(question)
    names = (next(filter(None, found.groups())) for found in _NAMES.finditer(text))
    return (name for name in names if not words.among(name.casefold(), asked))
