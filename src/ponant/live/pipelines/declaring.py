"""What a pipeline file says: `from ponant import live`, then sources, transforms and sinks."""

import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import Any, overload

from ponant.kit.errors import BadRequest
from ponant.live.access import checked_marks
from ponant.live.pipelines.declared import (
    LONGEST_CALL,
    LibrarySink,
    Origin,
    Pipeline,
    StandingQuery,
    Stream,
    TableSink,
    Transform,
    View,
    WindowOver,
)

Duration = float | timedelta | str
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


_current: ContextVar[Pipeline | None] = ContextVar("pipeline", default=None)


@contextmanager
def declaring(file: Path) -> Iterator[Pipeline]:
    """Collect what is declared in the block."""
    pipeline = Pipeline(file)
    token = _current.set(pipeline)
    try:
        yield pipeline
    finally:
        _current.reset(token)


def folder(path: str | Path, *, name: str = "") -> Origin:
    """The files of a folder, relative to the pipeline's file, and of those inside it."""
    return documents("folder", name=name or f"folder:{path}", path=str(_pipeline_path(path)))


def documents(
    kind: str, *, name: str = "", secrets: Mapping[str, str] | None = None, **config: Any
) -> Origin:
    """Documents from any kind of source that a library may follow, such as ``imap`` or ``web``.

    Args:
        name: unique in the pipeline; the kind where there is one of it.
        secrets: passwords and keys; better ``<secret>_env``, which names a variable.
        config: settings of the kind (docs/guide/sources.md).
    """
    return _declared(Origin(name or kind, kind, config, secrets=secrets or {}))


def csv(path: str | Path, *, key: str | tuple[str, ...], name: str = "", **options: Any) -> Origin:
    """The rows of a CSV file, read again when it changes; types are inferred.

    Args:
        path: relative to the pipeline's file.
        options: of DuckDB's ``read_csv``, such as ``delim=";"``.
    """
    return _file("csv", path, key, name, options)


def parquet(
    path: str | Path, *, key: str | tuple[str, ...], name: str = "", **options: Any
) -> Origin:
    """The rows of a Parquet file, read again when it changes."""
    return _file("parquet", path, key, name, options)


def postgres(table: str, *, name: str = "", password: str = "", **config: Any) -> Origin:
    """The rows of a PostgreSQL table, as they change.

    Args:
        config: of the kind ``postgres``: ``host``, ``database``, ``user``, ``mode``, ``key``, …
    """
    secrets = {"password": password} if password else {}
    name = name or f"postgres:{table}"
    return _declared(
        Origin(name, "postgres", {"table": table, **config}, rows=True, secrets=secrets)
    )


def kafka(topic: str, *, name: str = "", password: str = "", **config: Any) -> Origin:
    """The messages of a Kafka topic as rows.

    Args:
        config: of the kind ``kafka``, such as ``brokers`` and ``key_field``.
    """
    secrets = {"password": password} if password else {}
    name = name or f"kafka:{topic}"
    return _declared(Origin(name, "kafka", {"topic": topic, **config}, rows=True, secrets=secrets))


def push(name: str, *, key: str | tuple[str, ...]) -> Origin:
    """Rows that programs push to ``POST /v1/inboxes/{name}``.

    An item with ``"_deleted": true`` beside its key says that its row is gone.
    """
    return _declared(Origin(name, "push", {"inbox": name}, rows=True, key=_columns(key)))


@overload
def source(function: Callable[..., Any], /) -> Origin: ...


@overload
def source(
    *,
    key: str | tuple[str, ...] = (),
    every: Duration | None = None,
    snapshot: bool = True,
    name: str = "",
) -> Callable[[Callable[..., Any]], Origin]: ...


def source(
    function: Callable[..., Any] | None = None,
    /,
    *,
    key: str | tuple[str, ...] = (),
    every: Duration | None = None,
    snapshot: bool = True,
    name: str = "",
) -> Origin | Callable[[Callable[..., Any]], Origin]:
    """Make a generator of documents or rows a source; it may be asynchronous.

    It is run again ``every`` so often, and what a whole pass did not yield is gone, unless
    ``snapshot`` is False or it yields a `Checkpoint`, which is given back as the argument
    ``cursor``, where it takes one.

    Args:
        key: the columns that rows are known by; documents have keys of their own.
    """
    if function is None:
        return functools.partial(
            _generator, key=_columns(key), every=every, snapshot=snapshot, name=name
        )
    return _generator(function, key=_columns(key), every=every, snapshot=snapshot, name=name)


@overload
def transform(function: Callable[..., Any], /) -> Transform: ...


@overload
def transform(
    *, version: object = None, declassify: bool = False, timeout: Duration = LONGEST_CALL
) -> Callable[[Callable[..., Any]], Transform]: ...


def transform(
    function: Callable[..., Any] | None = None,
    /,
    *,
    version: object = None,
    declassify: bool = False,
    timeout: Duration = LONGEST_CALL,
) -> Transform | Callable[[Callable[..., Any]], Transform]:
    """Make a function a transform: from one document or row to one, several (yield) or None.

    What it returned for an input is kept until the input or the function's code changes.

    Args:
        version: raise it when something changed that the code does not show, such as a model.
        declassify: allow rows, which everybody in the workspace may read, to be made from
            documents that stand under an access list.
        timeout: that a call may take; one that takes longer is ended, and its input has failed.
    """
    limit = seconds(timeout)
    if not 0 < limit < math.inf:
        raise BadRequest(f"timeout={timeout!r} must be more than nothing, such as '30s'.")
    if function is None:
        return functools.partial(Transform, version=version, declassify=declassify, timeout=limit)
    return Transform(function, version, declassify, limit)


def library(name: str, *streams: Stream) -> None:
    """Keep documents in a library, which is made where there is none of that name."""
    _pipeline().libraries.append(LibrarySink(name, streams))


def table(
    name: str,
    *streams: Stream,
    key: str | tuple[str, ...] = (),
    readers: Sequence[str] | None = None,
) -> None:
    """Keep rows in a live table.

    Args:
        key: the columns that rows are known by; the source's where it is not given.
        readers: who may ask it, such as ``group:Sales``, ``person:<id>`` and ``email:<address>``;
            None is everybody in the workspace. A list that was set by hand goes before this one.
    """
    if isinstance(readers, str):
        raise BadRequest(f'readers is a list: readers=["{readers}"].')
    columns = _columns(key) or next((one.key for one in _origins(streams) if one.key), ())
    marks = None if readers is None else checked_marks(readers)
    _pipeline().tables.append(TableSink(name, columns, streams, marks))


def view(name: str, sql: str) -> None:
    """Name a SELECT over tables, so that others may ask it like a table."""
    _pipeline().views.append(View(name, sql))


def window(
    name: str,
    *,
    over: str,
    time: str,
    every: Duration,
    columns: Mapping[str, str],
    lateness: Duration = 0.0,
    by: str | tuple[str, ...] = (),
) -> None:
    """Tumbling windows over a table, kept as a table with the column ``window_start``.

    Rows that come up to ``lateness`` after their window's end, by the rows' own time, correct it;
    later ones are counted and left out.

    Args:
        over: the table.
        time: its column with each row's time.
        columns: what to compute by name, such as ``{"clicks": "count(*)"}``.
        by: columns that split a window.
    """
    _pipeline().windows.append(
        WindowOver(name, over, time, seconds(every), seconds(lateness), dict(columns), _columns(by))
    )


def query(name: str, sql: str, *, key: str | tuple[str, ...] = ()) -> None:
    """Keep a SELECT asked: whenever its result changes, the rows that moved are told.

    Args:
        key: columns of the result that say which row is which, so that a row may change.
    """
    _pipeline().queries.append(StandingQuery(name, sql, _columns(key)))


def seconds(duration: Duration) -> float:
    """A duration such as 10, "10s", "5m" or a timedelta, in seconds.

    Raises:
        BadRequest: it is none.
    """
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    if isinstance(duration, str):
        number = duration.rstrip("".join(_UNITS))
        unit = duration[len(number) :] or "s"
        try:
            return float(number) * _UNITS[unit]
        except (KeyError, ValueError) as e:
            raise BadRequest(f"{duration!r} is no duration. Write 10, '10s', '5m' or '1h'.") from e
    return float(duration)


def _generator(
    function: Callable[..., Any],
    *,
    key: tuple[str, ...],
    every: Duration | None,
    snapshot: bool,
    name: str,
) -> Origin:
    if not (inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)):
        raise BadRequest(f"{function.__name__} must yield documents or rows to be a source.")
    pause = None if every is None else seconds(every)
    config = {"every": pause, "snapshot": snapshot}
    named = name or function.__name__
    return _declared(Origin(named, "generator", config, rows=bool(key), key=key, function=function))


def _file(
    kind: str,
    path: str | Path,
    key: str | tuple[str, ...],
    name: str,
    options: Mapping[str, Any],
) -> Origin:
    config = {"path": str(_pipeline_path(path)), "options": dict(options)}
    return _declared(Origin(name or f"{kind}:{path}", kind, config, rows=True, key=_columns(key)))


def _declared(origin: Origin) -> Origin:
    pipeline = _pipeline()
    if any(one.name == origin.name for one in pipeline.origins):
        raise BadRequest(f"Two sources are called {origin.name}. Give one of them another: name=…")
    pipeline.origins.append(origin)
    return origin


def _pipeline() -> Pipeline:
    """What is being declared; outside of a run, something that nobody looks at."""
    return _current.get() or Pipeline(Path("pipeline.py").resolve())


def _pipeline_path(path: str | Path) -> Path:
    return (_pipeline().folder / Path(path).expanduser()).resolve()


def _columns(key: str | tuple[str, ...]) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else tuple(key)


def _origins(streams: tuple[Stream, ...]) -> Iterator[Origin]:
    """Sources that stand directly before a sink."""
    return (one for one in streams if isinstance(one, Origin))
