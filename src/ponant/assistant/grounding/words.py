"""What two texts have in common, word by word, in any language that writes words.

It needs no model: words match by a long common beginning, so that "opens" meets "open" and
"Öffnung" meets "öffnet" without a stemmer for each language. Chinese, Japanese and Thai, which
write no spaces, are compared by pairs of characters.
"""

import re
import unicodedata
from collections.abc import Iterable
from importlib import resources


def _read() -> dict[str, frozenset[str]]:
    text = resources.files(__package__).joinpath("function_words.txt").read_text("utf-8")
    lines = (line.split(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: frozenset(listed.split()) for name, listed in lines}


_STOPWORDS = _read()
_GREETINGS = _STOPWORDS.pop("greetings")
_REFERRING = _STOPWORDS.pop("referring")
_DENYING = _STOPWORDS.pop("denying")
_ASKING = _STOPWORDS.pop("asking")
_SPEAKING = _STOPWORDS.pop("speaking")
_ALL_STOPWORDS = frozenset().union(*_STOPWORDS.values())
_NO_SPACES = r"\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff"
_UNSPACED = re.compile(f"[{_NO_SPACES}]+")
_WORD = re.compile(rf"[{_NO_SPACES}]+|[^\W_{_NO_SPACES}]+")
_NUMBER = re.compile(r"(?<![^\W_])\d+(?:[.,:]\d+)*")
_THOUSANDS = re.compile(r"\d{1,3}(?:[.,]\d{3})+")
_TOKEN = re.compile(r"[^\s\"'`“”„«»\u2018\u2019()\[\]{}<>,;!?…]+")
_SHARED_BEGINNING = 4
_LONGEST_ENDING = 3
_ENGLISH_SHARE = 0.125  # of the words of a text that are function words, at least


def words(text: str) -> list[str]:
    """The words of a text in order, folded to lower case; runs without spaces become pairs."""
    found: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        if _UNSPACED.fullmatch(word) and len(word) > 1:
            found.extend(word[i : i + 2] for i in range(len(word) - 1))
        else:
            found.append(word)
    return found


def content_words(text: str) -> list[str]:
    """The words that say what a text is about: no function words, no bare numbers, no repeats.

    Where nothing is left, they are those that are no function words of the text's own language: in
    "What is Del?" a name, though "del" is an article in Spanish.
    """
    found = [word for word in dict.fromkeys(words(text)) if not word.isdecimal()]
    about = [word for word in found if word not in _ALL_STOPWORDS]
    if about or not found:
        return about
    own = _STOPWORDS[language(text)]
    return [word for word in found if word not in own]


def asks_nothing(text: str) -> bool:
    """Whether a message is a greeting, a thank-you or small talk, which need no document."""
    about = content_words(text)
    if numbers(text) or not all(word in _GREETINGS for word in about):
        return False
    # "What is at?" has a name that looks like a function word; "How are you?" has none.
    is_talk = any(word in _SPEAKING for word in words(text))
    return bool(about) or is_talk or not asks_for_a_fact(text)


def refers_back(text: str) -> bool:
    """Whether a question leans on the one before it, such as "And when does it close?"."""
    return len(content_words(text)) <= 1 and any(word in _REFERRING for word in words(text))


def asks_for_a_fact(text: str) -> bool:
    """Whether a question wants more than yes or no: it asks when, who, how much, …"""
    return any(word in _ASKING for word in words(text))


def denies(text: str) -> bool:
    """Whether a text has a word that denies, such as "not", "never" or "kein"."""
    return any(word in _DENYING for word in words(text))


def numbers(text: str) -> set[str]:
    """The numbers in a text in one spelling: ``08:30`` is ``8:30``, ``15,000`` is ``15000``."""
    return {_spelling(number) for number in _NUMBER.findall(text)}


def same(one: str, other: str) -> bool:
    """Whether two folded words are forms of one word; a name with a digit has no other form."""
    if one == other:
        return True
    if is_code(one) or is_code(other):
        return False
    shared = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        shared += 1
    return shared >= _SHARED_BEGINNING and max(len(one), len(other)) - shared <= _LONGEST_ENDING


def is_code(word: str) -> bool:
    """Whether a word is a name with a digit in it, such as "x2" or "libc6"."""
    return any(sign.isdigit() for sign in word)


def is_unspaced(text: str) -> bool:
    """Whether a text has words in a script that writes no spaces."""
    return _UNSPACED.search(text) is not None


def tokens(text: str) -> set[str]:
    """What stands between spaces, folded, without the marks around it: "libc6-dev" is one."""
    return set(_tokens(text))


def first_token(text: str) -> str:
    """The first token that is more than a mark or a function word; empty where there is none."""
    told = (token for token in _tokens(text) if words(token) and token not in _ALL_STOPWORDS)
    return next(told, "")


def _tokens(text: str) -> list[str]:
    return [one for token in _TOKEN.findall(text) if (one := token.strip(".:").casefold())]


def means_another(name: str, text: str) -> bool:
    """Whether a text has words of a name, but not the name.

    Of "pipewire", "pipewire-bin plays sound" is not told, and "BSD printers for CUPS" is not of
    "cups-bsd"; "check in" is another spelling of "check-in".
    """
    told = tokens(text)
    if name in told:
        return False
    parts, found = words(name), words(text)
    if len(parts) > 1:
        spelt = f" {' '.join(parts)} " in f" {' '.join(found)} "
        return not spelt and any(part in found for part in parts)
    alone = {word for token in told if len(one := words(token)) == 1 for word in one}
    return any(part in found and part not in alone for part in parts)


def among(word: str, others: Iterable[str]) -> bool:
    """Whether a form of ``word`` is among ``others``."""
    return any(same(word, other) for other in others)


def coverage(wanted: Iterable[str], given: Iterable[str]) -> float:
    """The share of ``wanted`` words of which ``given`` holds a form; 1 where none is wanted."""
    needed, held = list(wanted), list(given)
    if not needed:
        return 1.0
    return sum(among(word, held) for word in needed) / len(needed)


def matched(wanted: Iterable[str], given: Iterable[str]) -> float:
    """The same where each word given stands for one form alone."""
    needed, left, found = list(wanted), list(given), 0
    for word in needed:
        if (one := next((one for one in left if same(word, one)), None)) is not None:
            left.remove(one)
            found += 1
    return found / len(needed) if needed else 1.0


def language(text: str) -> str:
    """The likeliest of the languages whose function words are known here; English in doubt."""
    found = words(text)
    counts = {code: sum(word in stop for word in found) for code, stop in _STOPWORDS.items()}
    best = max(counts, key=lambda code: counts[code])
    return best if counts[best] > counts["en"] else "en"


def is_english(text: str) -> bool:
    """Whether a text is surely English, by the function words that it has."""
    found = words(text)
    known = sum(word in _STOPWORDS["en"] for word in found)
    return language(text) == "en" and known >= _ENGLISH_SHARE * len(found) > 0


def folded(text: str) -> str:
    """A text in lower case with single spaces."""
    return " ".join(text.casefold().split())


def _spelling(number: str) -> str:
    if _THOUSANDS.fullmatch(number):
        return re.sub(r"[.,]", "", number)
    parts = [part.lstrip("0") or "0" for part in re.split(r"[.,:]", number)]
    if ":" not in number and len(parts) > 1:
        # A decimal fraction: its trailing zeros say nothing, its leading ones do.
        fraction = re.split(r"[.,]", number)[-1].rstrip("0")
        parts = [*parts[:-1], fraction] if fraction else parts[:-1]
        return ".".join(parts)
    return ":".join(parts)
