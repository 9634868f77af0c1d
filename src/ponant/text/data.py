"""Text from people, documents and tools, marked so that a template cannot pass it off as its own.

A chat template is a program that mixes its own words with text it is given. `Data` is a string
that stays marked through slicing, stripping, splitting and replacing; where it is joined with
other text or written out, it stands between two noncharacters, so that the finished prompt can be
taken apart again (`segments`). Noncharacters in the text itself are removed first.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, SupportsIndex

from ponant.text.rendered import Segment

_START, _END = "\ufdd0", "\ufdd1"
CUT = "\ufdd2"
"""Stands in data where a prompt is to be cut off; `as_data` removes it from what it is given."""

_MARKS = re.compile(f"[{_START}{_END}]")


class Data(str):
    """A string that somebody else wrote."""

    __slots__ = ()

    def __new__(cls, text: str) -> "Data":
        return super().__new__(cls, _MARKS.sub("", _raw(text)))

    def __str__(self) -> str:
        """The text between marks, white space outside them so that it can be stripped."""
        text = _raw(self)
        core = text.strip()
        if not core:
            return text
        begin = text.index(core)
        return f"{text[:begin]}{_START}{core}{_END}{text[begin + len(core) :]}"

    def __add__(self, other: str) -> str:
        return str(self) + str(other)

    def __radd__(self, other: str) -> str:
        return str(other) + str(self)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __getitem__(self, key: SupportsIndex | slice) -> "Data":
        return Data(_raw(self)[key])

    def __iter__(self) -> Iterator["Data"]:
        return map(Data, iter(_raw(self)))

    def __mul__(self, count: SupportsIndex) -> "Data":
        return Data(_raw(self) * count)

    __rmul__ = __mul__

    def __mod__(self, values: Any) -> "Data":
        return Data(_raw(self) % values)

    def join(self, parts: Iterable[str]) -> str:
        return join(self, parts)


def _raw(text: str) -> str:
    """The characters alone, as a plain string."""
    return str.__str__(text)


def _same(name: str) -> Any:
    method = getattr(str, name)
    return lambda self, *args: Data(method(_raw(self), *args))


def _parts(name: str) -> Any:
    method = getattr(str, name)
    return lambda self, *args, **options: [Data(p) for p in method(_raw(self), *args, **options)]


def _three(name: str) -> Any:
    method = getattr(str, name)
    return lambda self, separator: tuple(Data(p) for p in method(_raw(self), separator))


_KEEP_WHOLE = ("capitalize", "lower", "lstrip", "removeprefix", "removesuffix", "replace")
for _name in (*_KEEP_WHOLE, "rstrip", "strip", "title", "upper"):
    setattr(Data, _name, _same(_name))
for _name in ("rsplit", "split", "splitlines"):
    setattr(Data, _name, _parts(_name))
for _name in ("partition", "rpartition"):
    setattr(Data, _name, _three(_name))


def as_data(value: Any) -> Any:
    """A copy of plain values with every string marked, keys included."""
    match value:
        case str():
            return Data(value.replace(CUT, ""))
        case Mapping():
            return {as_data(key): as_data(item) for key, item in value.items()}
        case list() | tuple():
            return [as_data(item) for item in value]
        case _:
            return value


def join(separator: str, parts: Iterable[object]) -> str:
    """`str.join` that keeps marks."""
    return str(separator).join(map(str, parts))


def replace(text: str, old: str, new: str, count: int = -1) -> str:
    """`str.replace` that keeps marks; what replaces a part of data is data too."""
    if isinstance(text, Data):
        return Data(_raw(text).replace(_raw(old), _raw(new), count))
    return text.replace(_raw(old), str(new), count)


def segments(marked: str) -> tuple[Segment, ...]:
    """Take a finished prompt apart.

    A lone mark, as a template makes that cuts through joined text, turns everything on its open
    side into data: such a prompt may lose a special token, but it never gains one.
    """
    found: list[Segment] = []
    depth = 0
    for piece in re.split(f"([{_START}{_END}])", marked):
        if piece == _START:
            depth += 1
        elif piece == _END and depth:
            depth -= 1
        elif piece == _END:
            found = [Segment(segment.text, is_template=False) for segment in found]
        elif piece:
            found.append(Segment(piece, is_template=depth == 0))
    return _merged(found)


def _merged(found: Iterable[Segment]) -> tuple[Segment, ...]:
    merged: list[Segment] = []
    for segment in found:
        if merged and merged[-1].is_template == segment.is_template:
            merged[-1] = Segment(merged[-1].text + segment.text, segment.is_template)
        else:
            merged.append(segment)
    return tuple(merged)
