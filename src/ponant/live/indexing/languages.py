"""Tells which language a text is in by its most frequent function words.

Only languages that have a stemmer are told apart: the words are cut to their stems by it.
"""

import re
import tomllib
from collections import Counter
from pathlib import Path

DEFAULT = "english"
_WORD = re.compile(r"[^\W\d_]+")
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
_UNSPACED_SHARE = 0.04  # of the characters; a sign there says as much as a few letters elsewhere
_LOOKED_AT = 20_000  # characters

FUNCTION_WORDS = {
    language: frozenset(words.split())
    for language, words in tomllib.loads(
        Path(__file__).with_name("function_words.toml").read_text("utf-8")
    ).items()
}

_LANGUAGES_OF = {
    word: [language for language, words in FUNCTION_WORDS.items() if word in words]
    for word in set().union(*FUNCTION_WORDS.values())
}


def language_of(text: str) -> str:
    """The likeliest language by its stemmer's name; `DEFAULT` where nothing tells.

    What stands in Latin letters between Chinese, Japanese or Thai is mostly English or code, whose
    single letters look like Czech.
    """
    looked_at = text[:_LOOKED_AT]
    if len(_UNSPACED.findall(looked_at)) > _UNSPACED_SHARE * len(looked_at):
        return DEFAULT
    votes: Counter[str] = Counter()
    for word in _WORD.findall(looked_at.lower()):
        languages = _LANGUAGES_OF.get(word, ())
        for language in languages:
            votes[language] += 12 // len(languages)  # what few languages have tells more
    if not votes:
        return DEFAULT
    most = max(votes.values())
    found = [language for language in FUNCTION_WORDS if votes[language] == most]
    return found[0]
