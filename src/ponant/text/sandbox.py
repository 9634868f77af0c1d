"""Where chat templates run: Jinja programs from strangers, with limits on time, size and reach.

Jinja's immutable sandbox keeps a template from the interpreter and from changing what it is given.
The rest is bounded here. Every step that a template can repeat (an iteration, a call, an operation
on values, a piece of output) draws on one budget and looks at the deadline; everything between two
such steps is one operation of C on values of bounded size. So a hostile template ends soon without
signals, threads or processes: there is no loader, filters and string methods come from a list,
what could make a huge value in a single step is measured before it is made, and all values together
draw on the budget as well.
"""

import html
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextvars import ContextVar
from types import BuiltinMethodType, MethodType
from typing import Any

from jinja2 import Template, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from ponant.text import data
from ponant.text.data import Data

MAX_SIZE = 1 << 22
"""Most characters in a prompt and in any value on the way to it; most items in a list."""

_MAX_STEPS = 1_000_000
_MAX_TOTAL = 1 << 27  # characters made in all; an item of a list counts as eight
_SENTENCE_END = re.compile(r"(?<=[.!?\u2026\u3002\uff01\uff1f])\s+|[\r\n]+")
_WIDE = re.compile(r"\d{4,}|\*")


class LimitExceeded(Exception):
    """A template wants more than it may have; the message says of what."""


class Budget:
    """What one rendering may use."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._steps = _MAX_STEPS
        self._left = _MAX_TOTAL

    def step(self, size: int = 0) -> None:
        """Pay for one step, and for a value that it made."""
        self._steps -= 1
        self._left -= size
        if self._steps < 0:
            raise LimitExceeded(f"it takes more than {_MAX_STEPS:,} steps")
        if self._left < 0:
            raise LimitExceeded("it takes too much memory")
        if time.monotonic() > self._deadline:
            raise LimitExceeded(f"it takes longer than {self._seconds:g} seconds")


running: ContextVar[Budget | None] = ContextVar("running", default=None)
"""The budget of the rendering under way in this thread."""


def _step(made: object = None) -> None:
    if budget := running.get():
        match made:
            case str():
                budget.step(len(made))
            case list() | tuple() | dict():
                budget.step(8 * len(made))
            case _:
                budget.step()


def _paid(made: Any) -> Any:
    _step(made)
    return made


def _check_size(size: int) -> None:
    if size > MAX_SIZE:
        raise LimitExceeded(f"it makes more than {MAX_SIZE:,} characters or items")


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja as chat templates expect it, and nothing beyond."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", _Generation],
            cache_size=0,
        )
        known = {name: self.filters[name] for name in _JINJA_FILTERS}
        self.filters = known | _OWN_FILTERS
        del self.globals["lipsum"]

    def build(self, source: str) -> Template:
        """Compile a template whose loops and joins draw on the budget."""
        tree = _Bounded().visit(self.parse(source))
        tree.set_environment(self)
        return self.template_class.from_code(self, self.compile(tree), self.make_globals(None))

    @staticmethod
    def concat(parts: Iterable[str]) -> str:
        """How Jinja puts output together."""
        kept, size = [], 0
        for part in parts:
            _step(part)
            size += len(part)
            _check_size(size)
            kept.append(part)
        return "".join(kept)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str):
            return attr in _STRING_METHODS
        return super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        _BINOP_CHECKS[operator](left, right)
        return _paid(super().call_binop(context, operator, left, right))

    def call(self, context: Context, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        _step()
        owner = getattr(called, "__self__", None)
        if isinstance(called, (BuiltinMethodType, MethodType)) and isinstance(owner, str):
            own = _OWN_METHODS.get(called.__name__)
            if own:
                return _paid(own(owner, *args, **kwargs))
        return _paid(super().call(context, called, *args, **kwargs))


class _Generation(Extension):
    """The tag that marks an assistant's words for training; here it is transparent."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's own declaration

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Bounded(NodeTransformer):
    """Rewrites loops, ``~``, filters and slices so that they draw on the budget."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - the name of the node
        self.generic_visit(node)
        node.iter = _through("counted ", node.iter)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - the name of the node
        self.generic_visit(node)
        return _through("concat ", nodes.List(node.nodes, lineno=node.lineno))

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:  # noqa: N802 - the name of the node
        self.generic_visit(node)
        # A filter block has no value of its own; its output is paid for by `concat`.
        return node if node.node is None else _through("paid ", node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802 - the name of the node
        self.generic_visit(node)
        return _through("paid ", node) if isinstance(node.arg, nodes.Slice) else node


def _through(name: str, node: nodes.Node) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


@pass_context
def _counted(_: Context, items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        _step()
        yield item


@pass_context
def _concat(_: Context, parts: Iterable[object]) -> str:
    return Sandbox.concat(map(str, parts))


@pass_context
def _charged(_: Context, made: Any) -> Any:
    return _paid(made)


def _check_plus(left: Any, right: Any) -> None:
    if isinstance(left, Sized) and isinstance(right, Sized):
        _check_size(len(left) + len(right))


def _check_times(left: Any, right: Any) -> None:
    for sized, count in ((left, right), (right, left)):
        if isinstance(sized, Sequence) and isinstance(count, int):
            _check_size(len(sized) * count)
    if isinstance(left, int) and isinstance(right, int):
        _check_size(left.bit_length() + right.bit_length())


def _check_power(left: Any, right: Any) -> None:
    if abs(left) > 1 << 16 or abs(right) > 1 << 8:
        raise LimitExceeded("it raises a number to too high a power")


def _check_percent(left: Any, right: Any) -> None:
    if not isinstance(left, str):
        return
    if _WIDE.search(left):
        raise LimitExceeded("it pads text too far")
    values = right if isinstance(right, tuple) else (right,)
    _check_size(len(left) + sum(len(value) for value in values if isinstance(value, str)))


_BINOP_CHECKS: dict[str, Callable[[Any, Any], None]] = {
    "+": _check_plus,
    "*": _check_times,
    "**": _check_power,
    "%": _check_percent,
}

# fmt: off
_STRING_METHODS = frozenset((
    "capitalize", "count", "endswith", "find", "index", "isalnum", "isalpha", "isdigit",
    "islower", "isnumeric", "isspace", "isupper", "join", "lower", "lstrip", "partition",
    "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rpartition", "rsplit",
    "rstrip", "split", "splitlines", "startswith", "strip", "title", "upper",
))

_JINJA_FILTERS = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "format",
    "groupby", "int", "items", "last", "length", "list", "lower", "map", "max", "min",
    "reject", "rejectattr", "reverse", "round", "select", "selectattr", "sort", "string",
    "sum", "trim", "unique", "upper",
)
# fmt: on


def _join(separator: str, parts: Iterable[object] = ()) -> str:
    texts = [str(part) for part in parts]
    _check_size(sum(map(len, texts)) + len(separator) * len(texts))
    return data.join(separator, texts)


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    times = text.count(old) if count < 0 else min(count, text.count(old))
    _check_size(len(text) + times * len(new))
    return data.replace(text, old, new, count)


_OWN_METHODS: dict[str, Callable[..., str]] = {"join": _join, "replace": _replace}


def _join_filter(parts: Iterable[Any], d: str = "", attribute: str | None = None) -> str:
    if attribute is not None:
        parts = [part[attribute] for part in parts]
    return _join(d, parts)


def _replace_filter(s: Any, old: Any, new: Any, count: int | None = None) -> str:
    text = s if isinstance(s, str) else str(s)
    return _replace(text, str.__str__(str(old)), new, -1 if count is None else count)


def _format_filter(value: str, *args: Any) -> str:
    _check_percent(value, args)
    return str(value) % args


def _indent(s: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:  # noqa: FBT001, FBT002 - Jinja's own signature
    margin = width if isinstance(width, str) else " " * min(width, 64)
    lines = s.splitlines() or [s]
    _check_size(len(s) + len(margin) * len(lines))
    rest = [margin + line if line or blank else line for line in lines[1:]]
    return data.join("\n", [margin + lines[0] if first else lines[0], *rest])


def _to_json(
    value: Any,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002 - the names that templates use
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002
) -> Data:
    """JSON as Hugging Face's templates expect it: no HTML escapes. All of it counts as data."""
    return Data(
        json.dumps(
            value,
            ensure_ascii=ensure_ascii,
            indent=min(indent, 8) if indent is not None else None,
            separators=separators,
            sort_keys=sort_keys,
        )
    )


def _sentences(text: str) -> list[Data]:
    """A text's sentences, roughly: each ends with a line, or with a stop and white space."""
    parts = _SENTENCE_END.split(str.__str__(text).strip())
    return [Data(" ".join(part.split())) for part in parts if part.strip()]


def _title(s: Any) -> str:
    return s.title() if isinstance(s, str) else str(s).title()


def _escape(s: Any) -> str:
    return Data(html.escape(s)) if isinstance(s, Data) else html.escape(str(s))


_OWN_FILTERS: dict[str, Callable[..., Any]] = {
    "concat ": _concat,  # names with a space, which no template can write
    "counted ": _counted,
    "paid ": _charged,
    "e": _escape,
    "escape": _escape,
    "format": _format_filter,
    "indent": _indent,
    "join": _join_filter,
    "replace": _replace_filter,
    "safe": lambda value: value,
    "sentences": _sentences,
    "title": _title,
    "tojson": _to_json,
}


def not_allowed(error: SecurityError) -> LimitExceeded:
    """What the sandbox refused, in the words of a limit."""
    return LimitExceeded(f"it reaches for what templates may not use ({error})")
