"""Loads a pipeline file and refuses one that cannot work, before anything runs."""

import runpy
import sys
import traceback
from pathlib import Path

from ponant.kit import PonantError
from ponant.kit.errors import BadRequest
from ponant.live.pipelines.declared import LibrarySink, Pipeline, TableSink
from ponant.live.pipelines.declaring import declaring


def load(file: Path) -> Pipeline:
    """What a pipeline file declares.

    Raises:
        BadRequest: it is not there, it raises, or it declares what cannot work.
    """
    file = file.expanduser().resolve()
    if not file.is_file():
        raise BadRequest(f"There is no pipeline {file}.")
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    with declaring(file) as pipeline:
        try:
            runpy.run_path(str(file), run_name=file.stem)
        except PonantError as e:
            raise BadRequest(f"{file.name}{_line(e, file)}: {e.message}") from e
        except SyntaxError as e:
            raise BadRequest(f"{file.name}, line {e.lineno}: {e.msg}.") from e
        except Exception as e:
            raise BadRequest(f"{file.name}{_line(e, file)}: {type(e).__name__}: {e}") from e
    _check(pipeline)
    return pipeline


def _check(pipeline: Pipeline) -> None:
    sinks: list[LibrarySink | TableSink] = [*pipeline.libraries, *pipeline.tables]
    if not sinks:
        raise BadRequest(f"{pipeline.file.name} keeps nothing: declare a library or a table.")
    for names in ([one.name for one in pipeline.libraries], pipeline.names()):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise BadRequest(f"{pipeline.file.name} declares {twice} twice.")
    for sink in sinks:
        if not sink.streams:
            raise BadRequest(f"{sink.name} is given nothing to keep.")
    for table in pipeline.tables:
        sources = [one for stream in table.streams for one in stream.sources()]
        if not table.key and not all(one.kind in ("postgres", "kafka") for one in sources):
            raise BadRequest(f'The table {table.name} needs a key: live.table(…, key="id").')


def _line(error: BaseException, file: Path) -> str:
    """Where in the file it went wrong."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename) == file:
            return f", line {frame.lineno}"
    return ""
