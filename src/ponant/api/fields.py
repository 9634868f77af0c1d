"""Fields that several requests share, bounded so that none can hold up the server.

Lists end at their first fault: a body of a few megabytes can hold millions, and a report of each
would take gigabytes.
"""

import json
from collections.abc import Callable, Mapping, Sized
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

IGNORED_HEADER = "x-ponant-ignored-parameters"

_MOST_TOKENS = 2**53  # what JSON's numbers hold exactly, and more than any context
_MOST_STOPS = 64
_LONGEST_STOP = 10_000
_MOST_BIASES = 10_000
_MOST_NAMES = 20
_LONGEST_NAME = 60
_LARGEST_METADATA = 1 << 16  # bytes
_MOST_LEVELS = 20
_LONGEST_TEXT = 1 << 22  # characters, as many as a chat template may make

T = TypeVar("T")


def at_most(count: int) -> Callable[[object], object]:
    """A check, before any other, that a list or an object has so many entries at most."""

    def check(value: object) -> object:
        if isinstance(value, Sized) and not isinstance(value, str) and len(value) > count:
            raise ValueError(f"{len(value)} entries are too many; the most is {count}")
        return value

    return check


def _as_stored(value: dict[str, Any]) -> dict[str, Any]:
    """What a database keeps and any JSON reader reads again: no NaN, and not without end."""
    if _deeper_than(value, _MOST_LEVELS):
        raise ValueError(f"it is nested too deeply; the most is {_MOST_LEVELS} levels")
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        size = len(text.encode())
    except UnicodeEncodeError as e:
        raise ValueError("it holds half a character, such as \\ud800") from e
    if size > _LARGEST_METADATA:
        raise ValueError(f"it takes {size} bytes as JSON; the most is {_LARGEST_METADATA}")
    return value


def _deeper_than(value: object, levels: int) -> bool:
    match value:
        case dict():
            inner = list(value.values())
        case list():
            inner = value
        case _:
            return False
    return levels == 0 or any(_deeper_than(one, levels - 1) for one in inner)


def _as_tuple(value: object) -> object:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


Text = Annotated[str, Field(max_length=_LONGEST_TEXT)]
Items = Annotated[list[T], Field(fail_fast=True)]
Count = Annotated[int, Field(ge=0, le=_MOST_TOKENS)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Bias = Annotated[float, Field(allow_inf_nan=False)]
Metadata = Annotated[dict[str, Any], AfterValidator(_as_stored)]
LogitBias = Annotated[dict[TokenId, Bias], BeforeValidator(at_most(_MOST_BIASES))]
Strings = Annotated[
    tuple[Annotated[str, Field(max_length=_LONGEST_STOP)], ...],
    BeforeValidator(at_most(_MOST_STOPS)),
    BeforeValidator(_as_tuple),
]


def ignored_header(extra: Mapping[str, Any] | None) -> dict[str, str]:
    """A header that names the parameters without effect here, so that nobody has to guess."""
    if not extra:
        return {}
    named = [_plain(name) for name in sorted(extra)[:_MOST_NAMES]]
    more = [f"and {len(extra) - _MOST_NAMES} more"] if len(extra) > _MOST_NAMES else []
    return {IGNORED_HEADER: ", ".join([*named, *more])}


def _plain(name: str) -> str:
    """A name as a header may carry it: printable ASCII, not without end."""
    return name.encode("unicode_escape").decode("ascii")[:_LONGEST_NAME]
