"""Whether a question asks how much or when, and whether a text has anything of that kind.

"How much does it cost?" is answered by no sentence without a number, however near its words are.
"""

import re
import tomllib
from importlib import resources

from ponant.assistant.grounding import words

_KNOWN = tomllib.loads(resources.files(__package__).joinpath("quantities.toml").read_text("utf-8"))
_ASKING, _YEARS = (
    re.compile("|".join(rf"\b(?:{pattern})\b" for pattern in _KNOWN[asked].values()))
    for asked in ("asking", "years")
)
_TELLING = {code: frozenset(known.split()) for code, known in _KNOWN["telling"].items()}
_MANUAL = re.compile(r"(?<=\w)\(\d\w{0,2}\)")  # "passwd(5)" names a page of a manual


def wanted(question: str) -> bool:
    """Whether a question asks for a number, a time or a circumstance."""
    return _ASKING.search(words.folded(question)) is not None


def told(question: str, text: str) -> bool:
    """Whether a text has a number, in digits or words, a time or a circumstance; a year has digits.

    Texts in scripts without spaces are taken to have one: their words are not known here.
    """
    if words.numbers(_MANUAL.sub(" ", text)) or words.is_unspaced(text):
        return True
    if _YEARS.search(words.folded(question)):
        return False
    return any(word in _TELLING[words.language(text)] for word in words.words(text))
