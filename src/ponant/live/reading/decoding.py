"""Bytes to text, whatever they were written with."""

import re
from collections.abc import Iterator

from ponant.live.reading.refusal import Refusal

LONGEST_TEXT = 20_000_000  # characters

_MARKS = (b"\xff\xfe", b"\xfe\xff")
_SAMPLE = 65_536  # bytes that tell an encoding
_TELLING = 8  # with fewer bytes beyond ASCII no statistics are to be had
_DECLARED = re.compile(rb"""(?i)(?:charset\s*=|encoding\s*=)\s*["']?([a-z0-9_.:-]{2,40})""")
_USUAL = [
    "big5",
    "cp1250",
    "cp1251",
    "cp1252",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "cp874",
    "cp932",
    "cp949",
    "euc_jp",
    "gb18030",
    "koi8_r",
    "utf_16_be",
    "utf_16_le",
]


def as_utf8(data: bytes) -> str | None:
    """The text of a file in UTF-8, as nearly all are; None where it is another."""
    if b"\0" in data[:4096]:
        return None
    try:
        return clean(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return None


def decode(data: bytes) -> str:
    """Text by its mark, as UTF-8, as it declares itself, or as its bytes look most like.

    Raises:
        Refusal: it is no text, or too long.
    """
    for encoding in _encodings(data):
        try:
            text = data.decode(encoding)
        except (LookupError, UnicodeDecodeError):
            continue
        if len(text) > LONGEST_TEXT:
            raise Refusal(f"its text is longer than {LONGEST_TEXT:,} characters")
        if "\0" not in text[:4096]:
            return clean(text)
    raise Refusal("it is not text in any encoding that can be told", "Save it as UTF-8.")


def clean(text: str) -> str:
    """The same line ends everywhere, and no signs that a database or a screen stumbles over."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def _encodings(data: bytes) -> Iterator[str]:
    if data.startswith(_MARKS):
        yield "utf-16"
        return
    yield "utf-8-sig"
    if match := _DECLARED.search(data[:2048]):
        yield match.group(1).decode("ascii")
    if looks := _looks_like(data[: _SAMPLE if len(data) > _SAMPLE else None]):
        yield looks
    if b"\0" not in data[:4096]:
        yield "cp1252"  # what Windows wrote in Western Europe, and the web takes for granted
        yield "latin-1"


def _looks_like(sample: bytes) -> str | None:
    """The likeliest of the usual encodings, by charset-normalizer's reckoning."""
    from charset_normalizer import from_bytes  # noqa: PLC0415 - rarely needed

    if sum(byte > 127 for byte in sample) < _TELLING and b"\0" not in sample:
        return None
    if len(sample) == _SAMPLE:  # whole lines, so that no sign is cut in two
        sample = sample[: sample.rfind(b"\n") + 1] or sample
    found = list(from_bytes(sample, cp_isolation=_USUAL))
    if not found:
        return None
    # Central and Western European differ by few signs; where nothing tells, it is the commoner.
    western = [one for one in found if one.encoding == "cp1252"]
    if found[0].encoding == "cp1250" and western and western[0].coherence >= found[0].coherence:
        return "cp1252"
    return found[0].encoding
