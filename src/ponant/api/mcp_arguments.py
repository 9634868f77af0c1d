"""What tools are given, checked: a model wrote it."""

from collections.abc import Sequence
from typing import Any

from ponant.kit.errors import BadRequest, NotFound
from ponant.live.port import Library


def text(arguments: dict[str, Any], name: str) -> str:
    """A text that must be there."""
    value = arguments.get(name)
    if not isinstance(value, str) or not value.strip():
        raise BadRequest(f"The argument {name} must be a text that is not empty.")
    return value


def optional_text(arguments: dict[str, Any], name: str) -> str | None:
    """A text that may be left out."""
    return None if arguments.get(name) is None else text(arguments, name)


def whole(arguments: dict[str, Any], name: str, default: int) -> int:
    """A whole number; ``default`` where it is left out."""
    value = arguments.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadRequest(f"The {name} must be a whole number.")
    return value


def chosen_of(libraries: Sequence[Library], name: object) -> list[Library]:
    """All libraries, or those of a name or id."""
    if name is None:
        return list(libraries)
    chosen = [one for one in libraries if name in (one.name, one.id)]
    if not chosen:
        there = ", ".join(one.name for one in libraries) or "none"
        raise NotFound(f"There is no library {name}. There are: {there}.")
    return chosen
