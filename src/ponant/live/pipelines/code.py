"""Names a function's code, so that what it computed is kept until the code changes.

The name covers the function's text without comments and layout, its defaults, what it closes over,
and the functions, classes, constants and modules of the pipeline's own folder that it refers to.
What it fetches at run time, and other packages beside their version, are not seen: a declared
``version`` stands for them.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ponant.live.pipelines.items import digest

_PLAIN = (str, bytes, int, float, complex, bool, type(None))


def code_hash(function: Callable[..., Any], folder: Path, version: object = None) -> str:
    """The name of a function's code.

    Args:
        folder: of the pipeline; modules in it count with their text.
        version: declared beside the function.
    """
    parts = sorted(set(_parts(function, folder.resolve(), set())))
    return digest(repr(version).encode(), *(part.encode() for part in parts))


def _parts(value: object, folder: Path, seen: set[int]) -> Iterator[str]:
    """Texts that together change whenever what ``value`` does may change."""
    if id(value) in seen:
        return
    seen.add(id(value))
    value = inspect.unwrap(value) if callable(value) else value
    if isinstance(value, FunctionType):
        yield from _function(value, folder, seen)
    elif isinstance(value, type):
        yield from _class(value, folder, seen)
    elif isinstance(value, ModuleType):
        yield _module(value, folder)
    elif _is_plain(value):
        yield f"value {_settled(value)}"
    else:
        yield f"object {type(value).__module__}.{type(value).__qualname__}"
        yield from _parts(type(value), folder, seen)


def _function(function: FunctionType, folder: Path, seen: set[int]) -> Iterator[str]:
    if not _is_own(function, folder):
        yield f"function {function.__module__}.{function.__qualname__} {_release(function)}"
        return
    yield f"function {function.__qualname__} {_text(function)}"
    for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
        yield from _parts(default, folder, seen)
    for cell in function.__closure__ or ():
        try:
            yield from _parts(cell.cell_contents, folder, seen)
        except ValueError:
            yield "an empty cell"
    for name in sorted(_names(function.__code__)):
        if name in function.__globals__:
            yield f"name {name}"
            yield from _parts(function.__globals__[name], folder, seen)


def _class(kind: type, folder: Path, seen: set[int]) -> Iterator[str]:
    if not _is_own(kind, folder):
        yield f"class {kind.__module__}.{kind.__qualname__} {_release(kind)}"
        return
    yield f"class {kind.__qualname__} {_text(kind)}"
    for member in vars(kind).values():
        if isinstance(member, FunctionType):
            yield from _function(member, folder, seen)


def _module(module: ModuleType, folder: Path) -> str:
    file = getattr(module, "__file__", None)
    if file and Path(file).resolve().is_relative_to(folder):
        return f"module {module.__name__} {Path(file).read_text()}"
    return f"module {module.__name__} {getattr(module, '__version__', '')}"


def _is_own(value: Any, folder: Path) -> bool:
    """Whether it was written in the pipeline's folder."""
    try:
        file = inspect.getfile(value)
    except (TypeError, OSError):
        return False
    return Path(file).resolve().is_relative_to(folder)


def _release(value: Any) -> str:
    package = sys.modules.get(value.__module__.partition(".")[0])
    return str(getattr(package, "__version__", ""))


def _text(value: Any) -> str:
    """The source without comments and layout."""
    try:
        source = textwrap.dedent(inspect.getsource(value))
        return ast.dump(ast.parse(source))
    except (OSError, TypeError, SyntaxError):
        code = getattr(value, "__code__", None)
        return repr((code.co_code, code.co_consts)) if code is not None else repr(value)


def _names(code: CodeType) -> set[str]:
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found


def _is_plain(value: object) -> bool:
    if isinstance(value, _PLAIN):
        return True
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(_is_plain(one) for one in value)
    if isinstance(value, dict):
        return all(_is_plain(one) for pair in value.items() for one in pair)
    return False


def _settled(value: object) -> str:
    if isinstance(value, (set, frozenset)):
        return repr(sorted(map(repr, value)))
    return repr(value)
