"""The process that runs one pipeline: loads its file, and keeps its sinks in step until ended."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from ponant.kit import PonantError, Settings
from ponant.kit.errors import Conflict
from ponant.kit.lock import exclusive
from ponant.kit.log import configure_log
from ponant.live.client import LiveClient
from ponant.live.pipelines.arriving import Opening
from ponant.live.pipelines.computing import ItemFailed
from ponant.live.pipelines.declared import Pipeline
from ponant.live.pipelines.items import Document, File
from ponant.live.pipelines.loading import load
from ponant.live.pipelines.memory import Memory, SourceNow
from ponant.live.pipelines.running import Runner
from ponant.live.pipelines.sinks import LiveSinks
from ponant.live.reading.media import media_type
from ponant.live.reading.parsing import Parser, UnreadableDocument
from ponant.store import Scope

LOAD_FAILED = 3  # the exit code where the file itself is at fault
_INBOX_SECONDS = 20.0
_INBOX_ITEMS = 1000


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a pipeline's process is started with; one JSON line on its standard input.

    Attributes:
        check: only load the file.
        once: end when every source was seen once.
        follow: end when standard input does.
    """

    file: str
    home: str
    scope: Scope
    check: bool = False
    once: bool = False
    follow: bool = True
    log_level: str = "warning"


def memory_file(home: Path, name: str) -> Path:
    """Where a pipeline remembers what it did."""
    return home / "pipelines" / f"{name}.db"


class Reader:
    """Turns files into documents with the parser's process."""

    def __init__(self) -> None:
        self._parser = Parser()

    async def __call__(self, file: File) -> Document:
        """A file's document.

        Raises:
            ItemFailed: it cannot be read.
        """
        kind = file.media_type or media_type(file.name) or "application/octet-stream"
        try:
            text = await self._parser.text(file.data, kind)
        except UnreadableDocument as e:
            raise ItemFailed("reading", str(e)) from e
        return Document(
            key=file.key,
            text=text,
            name=file.name,
            url=file.url,
            metadata=file.metadata,
            access=file.access,
        )

    async def close(self) -> None:
        await self._parser.close()


async def run(spec: RunSpec, told: Callable[[SourceNow], None] = lambda _: None) -> None:
    """Run a pipeline until cancelled, or once.

    Raises:
        BadRequest: the file cannot work.
    """
    pipeline = load(Path(spec.file))
    if spec.check:
        return
    home = Path(spec.home)
    live = LiveClient(Settings(home=home))
    reader = Reader()

    async def inbox(name: str, after: int) -> list[tuple[int, dict[str, Any]]]:
        return await live.relations.take(spec.scope, name, after, _INBOX_ITEMS, wait=_INBOX_SECONDS)

    with _alone(home, pipeline) as memory:
        await live.connect()
        try:
            runner = Runner(
                pipeline,
                memory,
                LiveSinks(live, spec.scope),
                Opening(home, inbox),
                reader,
                told,
            )
            await runner.run(once=spec.once)
        finally:
            await reader.close()
            await live.close()


@contextlib.contextmanager
def _alone(home: Path, pipeline: Pipeline) -> Iterator[Memory]:
    """The memory of a pipeline, for one process at a time.

    Raises:
        Conflict: another process runs it, or another file of its name did.
    """
    path = memory_file(home, pipeline.name)
    with exclusive(path.with_suffix(".lock")) as alone:
        if not alone:
            raise Conflict(f"The pipeline {pipeline.name} runs already. Stop it there first.")
        memory = Memory(path)
        try:
            owner = Path(memory.belongs_to(str(pipeline.file)))
            if owner != pipeline.file and owner.is_file():
                raise Conflict(
                    f"{owner} is a pipeline called {pipeline.name} too. Rename one of the files."
                )
            yield memory
        finally:
            memory.close()


def main() -> None:
    """Run what standard input says until it ends."""
    spec = msgspec.json.decode(sys.stdin.buffer.readline(), type=RunSpec)
    configure_log(spec.log_level)
    try:
        asyncio.run(_until_ended(spec))
    except PonantError as e:
        print(e.message, file=sys.stderr)  # noqa: T201 - for whoever runs the pipeline
        sys.exit(LOAD_FAILED)


async def _until_ended(spec: RunSpec) -> None:
    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(run(spec, _tell))
    loop.add_signal_handler(signal.SIGTERM, running.cancel)
    if spec.follow:
        loop.add_reader(0, running.cancel)  # whoever started it is gone
    with contextlib.suppress(asyncio.CancelledError):
        await running


def _tell(now: SourceNow) -> None:
    """One line of JSON for whoever started the process."""
    sys.stdout.buffer.write(msgspec.json.encode(now) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
