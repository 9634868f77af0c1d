"""Whether a question asks how much or when, and whether a text has anything of that kind.

"How much does it cost?" is answered by no sentence without a number, however near its words are.
"""

import re
import tomllib
from importlib import resources

from ponant.assistant.grounding import words

_KNOWN = tomllib.loads(resources.files(__package__).joinpath("quantities.toml").read_text("utf-8"))
_ASKING = re.compile("|".join(rf"\b(?:{pattern})\b" for pattern in _KNOWN["asking"].values()))
_TELLING = {code: frozenset(known.split()) for code, known in _KNOWN["telling"].items()}
_MANUAL = re.compile(r"(?<=\w)\(\d\w{0,2}\)")  # "passwd(5)" names a page of a manual


def wanted(question: str) -> bool:
    """Whether a question asks for a number, a time or a circumstance."""
    return _ASKING.search(" ".join(question.casefold().split())) is not None


def told(text: str) -> bool:
    """Whether a text has a number, in digits or words, a time or a circumstance.

    Texts in scripts without spaces are taken to have one: their words are not known here.
    """
    if words.numbers(_MANUAL.sub(" ", text)) or words.is_unspaced(text):
        return True
    return any(word in _TELLING[words.language(text)] for word in words.words(text))
