"""Turns what a pipeline declares into paths: from one source through transforms to one sink."""

from collections.abc import Iterator
from dataclasses import dataclass

from ponant.live.pipelines.code import code_hash
from ponant.live.pipelines.declared import (
    LibrarySink,
    Origin,
    Pipeline,
    Step,
    Stream,
    TableSink,
    Transform,
)
from ponant.live.pipelines.items import digest


@dataclass(frozen=True, slots=True)
class Stage:
    """A transform on a path, and the name of its code."""

    transform: Transform
    code: str


@dataclass(frozen=True, slots=True)
class Path:
    """From one source to one sink.

    Attributes:
        name: the same from run to run as long as the declaration is.
        code: another when any transform's code is.
        sink: ``library:<name>`` or ``table:<name>``.
        key: the table's columns.
    """

    name: str
    origin: Origin
    stages: tuple[Stage, ...]
    sink: str
    code: str
    key: tuple[str, ...] = ()

    @property
    def is_library(self) -> bool:
        return self.sink.startswith("library:")

    @property
    def is_direct(self) -> bool:
        """Whether rows go into a table as their source has them."""
        return not self.is_library and not self.stages and self.origin.rows


def paths(pipeline: Pipeline) -> list[Path]:
    """Every path of a pipeline."""
    found = [
        one for sink in pipeline.libraries for one in _to(pipeline, f"library:{sink.name}", sink)
    ]
    found += [one for sink in pipeline.tables for one in _to(pipeline, f"table:{sink.name}", sink)]
    return found


def _to(pipeline: Pipeline, name: str, sink: LibrarySink | TableSink) -> Iterator[Path]:
    key = sink.key if isinstance(sink, TableSink) else ()
    for stream in sink.streams:
        for origin, transforms in _walks(stream):
            stages = tuple(
                Stage(one, code_hash(one.function, pipeline.folder, (one.version, one.declassify)))
                for one in transforms
            )
            names = ">".join((origin.name, *(one.name for one in transforms), name))
            code = digest(repr(key).encode(), *(stage.code.encode() for stage in stages))
            yield Path(names, origin, stages, name, code, key)


def _walks(stream: Stream) -> Iterator[tuple[Origin, tuple[Transform, ...]]]:
    """The sources of a stream, each with the transforms in between."""
    if isinstance(stream, Origin):
        yield stream, ()
    elif isinstance(stream, Step):
        for below in stream.over:
            for origin, transforms in _walks(below):
                yield origin, (*transforms, stream.transform)
