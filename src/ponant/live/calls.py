"""Which methods other processes may call by name, and with what."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any, ClassVar, Protocol, get_type_hints

import msgspec

Method = Callable[..., Awaitable[object]]


class Part(Protocol):
    """Answers calls: the coroutines that `METHODS` names, whose first argument is the scope."""

    METHODS: ClassVar[frozenset[str]]


class _Whole(Part, Protocol):
    @property
    def parts(self) -> Mapping[str, Part]: ...


def callable_methods(whole: _Whole) -> dict[str, Method]:
    """Every method by the name that a call gives it: ``method``, or ``part.method``."""
    found: dict[str, Method] = {name: getattr(whole, name) for name in whole.METHODS}
    for part_name, part in whole.parts.items():
        found |= {f"{part_name}.{name}": getattr(part, name) for name in part.METHODS}
    return found


def arguments_of(method: Method, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call, turned from what travelled into what the method's types say.

    Raises:
        msgspec.ValidationError: one is of another type.
    """
    kinds = _kinds(getattr(method, "__func__", method))
    return {
        name: msgspec.convert(value, kinds[name]) if name in kinds else value
        for name, value in given.items()
    }


@cache
def _kinds(function: Callable[..., object]) -> dict[str, Any]:
    return get_type_hints(function)
