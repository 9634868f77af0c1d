"""What a pipeline consists of: sources, transforms over them, and what is kept."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ponant.kit.errors import BadRequest

LONGEST_CALL = 120.0  # seconds, where a transform does not say


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Documents or rows on their way; given to a transform, to `library` or to `table`."""

    def sources(self) -> "Iterator[Origin]":
        """Where they come from."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, eq=False)
class Origin(Stream):
    """A declared source.

    Attributes:
        name: unique in the pipeline; cursors and recorded cases go by it.
        kind: of `ponant.live.sources.kinds`, or one of a pipeline's own.
        rows: whether it yields rows rather than documents.
        key: the columns that rows are known by, where the source does not say itself.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    rows: bool = False
    key: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    function: Callable[..., Any] | None = None

    def sources(self) -> "Iterator[Origin]":
        yield self


@dataclass(frozen=True, slots=True, eq=False)
class Step(Stream):
    """A transform over a stream."""

    transform: "Transform"
    over: tuple[Stream, ...]

    def sources(self) -> "Iterator[Origin]":
        for stream in self.over:
            yield from stream.sources()


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """A function from one document or row to any number of them; called with streams, a stream.

    Attributes:
        version: declared, for what the function depends on and its text does not show.
        declassify: whether rows may be made from documents that not everybody may read.
        timeout: seconds that a call may take.
    """

    function: Callable[..., Any]
    version: object = None
    declassify: bool = False
    timeout: float = LONGEST_CALL

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", "transform")

    def __call__(self, *streams: Stream) -> Step:
        for stream in streams:
            if not isinstance(stream, Stream):
                raise BadRequest(f"{self.name}() takes sources or what transforms made of them.")
        return Step(self, streams)


@dataclass(frozen=True, slots=True)
class LibrarySink:
    name: str
    streams: tuple[Stream, ...]


@dataclass(frozen=True, slots=True)
class TableSink:
    name: str
    key: tuple[str, ...]
    streams: tuple[Stream, ...]
    readers: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class View:
    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class WindowOver:
    name: str
    table: str
    time: str
    every: float
    lateness: float
    columns: Mapping[str, str]
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StandingQuery:
    name: str
    sql: str
    key: tuple[str, ...]


@dataclass(slots=True)
class Pipeline:
    """Everything that one file declared."""

    file: Path
    origins: list[Origin] = field(default_factory=list)
    libraries: list[LibrarySink] = field(default_factory=list)
    tables: list[TableSink] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    windows: list[WindowOver] = field(default_factory=list)
    queries: list[StandingQuery] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.file.stem

    @property
    def folder(self) -> Path:
        return self.file.parent

    def names(self) -> list[str]:
        """The names of what SQL may ask or that is kept asked."""
        found = [one.name for one in self.tables] + [one.name for one in self.views]
        return found + [one.name for one in self.windows] + [one.name for one in self.queries]
