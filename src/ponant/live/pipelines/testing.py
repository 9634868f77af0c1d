"""Runs a pipeline on recorded input, beside no server, and compares what it makes.

A case is a folder with ``input.jsonl`` and ``expected.jsonl``. A line of input is one item of one
source: ``{"source": …, "document": {…}}``, ``{"source": …, "row": {…}}`` or ``{"source": …,
"deleted": key}``. Lines of one source that follow each other come as one batch; an empty line
begins another.
"""

import asyncio
import difflib
import tempfile
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from ponant.kit.errors import BadRequest, NotFound
from ponant.live.pipelines.arriving import Arrival, Arrivals, Opening
from ponant.live.pipelines.declared import Origin, Pipeline
from ponant.live.pipelines.items import Document, File, Item, key_values
from ponant.live.pipelines.loading import load
from ponant.live.pipelines.memory import Memory
from ponant.live.pipelines.process import Reader
from ponant.live.pipelines.running import Runner
from ponant.live.pipelines.sinks import Declared, Put, declarations, kept
from ponant.live.relations import asking
from ponant.live.relations.port import Cursor, RowBatch, RowSource
from ponant.live.relations.shaping import shape, shape_keys
from ponant.live.relations.store import Tables

INPUT, EXPECTED = "input.jsonl", "expected.jsonl"
_MEMORY = 512 << 20
_SECONDS = 30.0

_line = msgspec.json.Encoder(order="deterministic", enc_hook=str).encode


def cases_folder(file: Path) -> Path:
    """Where a pipeline's cases lie."""
    return file.with_suffix(".cases")


def cases(folder: Path) -> list[Path]:
    """The cases in a folder.

    Raises:
        NotFound: there is none.
    """
    found = sorted(path.parent for path in folder.glob(f"*/{INPUT}"))
    if not found:
        raise NotFound(f"There are no cases in {folder}. Make one: ponant live record")
    return found


async def compare(file: Path, case: Path) -> str:
    """How what a pipeline makes of a case differs from what is expected; "" where it does not."""
    made = await outcome(load(file), read_lines(case / INPUT))
    expected_file = case / EXPECTED
    expected = read_lines(expected_file) if expected_file.exists() else []
    before = sorted(_line(one).decode() for batch in expected for one in batch)
    return "\n".join(difflib.unified_diff(before, made, "expected", "made", lineterm="", n=1))


async def record(file: Path, case: Path, home: Path) -> tuple[int, int]:
    """Write a case of what the sources see now; returns the lines of input and of output."""
    pipeline = load(file)
    recording = Recording()
    with tempfile.TemporaryDirectory() as folder:
        opening = Opening(home, _no_inbox, recording=recording)
        await _run(pipeline, opening, Path(folder))
    batches = recording.batches
    await recording.close()
    made = await outcome(load(file), batches)
    await asyncio.to_thread(_write, case, batches, made)
    return sum(len(batch) for batch in batches), len(made)


async def outcome(pipeline: Pipeline, batches: Sequence[Sequence[dict[str, Any]]]) -> list[str]:
    """What a pipeline makes of recorded input: sorted lines of JSON.

    Raises:
        BadRequest: the input names a source that the pipeline does not have.
    """
    names = {origin.name for origin in pipeline.origins}
    for batch in batches:
        for line in batch:
            if line.get("source") not in names:
                raise BadRequest(
                    f"The pipeline has no source {line.get('source')}. It has: "
                    f"{', '.join(sorted(names))}."
                )
    with tempfile.TemporaryDirectory() as folder:
        opening = Opening(Path(folder), _no_inbox, recorded=Recorded(batches))
        return await _run(pipeline, opening, Path(folder))


def read_lines(path: Path) -> list[list[dict[str, Any]]]:
    """Lines of JSON, in batches.

    Raises:
        BadRequest: a line is no JSON object.
    """
    batches: list[list[dict[str, Any]]] = [[]]
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip():
            batches.append([])
            continue
        try:
            one = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError as e:
            raise BadRequest(f"{path}, line {number} is no JSON object: {e}") from e
        if batches[-1] and batches[-1][-1].get("source") != one.get("source"):
            batches.append([])
        batches[-1].append(one)
    return [batch for batch in batches if batch]


def _write(case: Path, batches: Sequence[Sequence[dict[str, Any]]], made: Sequence[str]) -> None:
    case.mkdir(parents=True, exist_ok=True)
    texts = ["".join(_line(one).decode() + "\n" for one in batch) for batch in batches]
    (case / INPUT).write_text("\n".join(texts))
    (case / EXPECTED).write_text("".join(one + "\n" for one in made))


async def _run(pipeline: Pipeline, opening: Opening, folder: Path) -> list[str]:
    memory, reader = Memory(None), Reader()
    sinks = LocalSinks(folder)
    try:
        runner = Runner(pipeline, memory, sinks, opening, reader)
        await runner.run(once=True)
        failed = [
            {
                "failed": {
                    "source": one.source,
                    "key": one.key,
                    "step": one.step,
                    "reason": one.reason,
                }
            }
            for one in memory.failures()
        ]
        lines = [*await asyncio.to_thread(sinks.outcome, pipeline), *failed]
        return sorted(_line(one).decode() for one in lines)
    finally:
        sinks.close()
        memory.close()
        await reader.close()


async def _no_inbox(_name: str, _after: int) -> list[tuple[int, dict[str, Any]]]:
    await asyncio.Event().wait()
    return []


class Recorded:
    """Brings recorded batches, each once the one before was stored."""

    def __init__(self, batches: Sequence[Sequence[dict[str, Any]]]) -> None:
        self._batches = list(batches)
        self._turn = asyncio.Condition()
        self._next = 0

    def rows(self, origin: Origin) -> RowSource:
        """Recorded rows as a source."""
        return _RecordedRows(self, origin)

    async def arrivals(self, origin: Origin) -> AsyncGenerator[Arrivals]:
        """Recorded documents as they came."""
        async for batch in self.turns(origin):
            yield Arrivals([_arrival(line) for line in batch])

    async def turns(self, origin: Origin) -> AsyncGenerator[Sequence[dict[str, Any]]]:
        """A source's batches, in the order that they have among all."""
        while any(batch[0]["source"] == origin.name for batch in self._batches[self._next :]):
            async with self._turn:
                await self._turn.wait_for(
                    lambda: self._batches[self._next][0]["source"] == origin.name
                )
            try:
                yield self._batches[self._next]
            finally:
                async with self._turn:
                    self._next += 1
                    self._turn.notify_all()


class _RecordedRows:
    interval: float | None = None

    def __init__(self, recorded: Recorded, origin: Origin) -> None:
        self._recorded = recorded
        self._origin = origin
        self.key = origin.key or ("key",)

    async def batches(self, cursor: Cursor | None) -> AsyncGenerator[RowBatch]:  # noqa: ARG002 - from the first on
        async for batch in self._recorded.turns(self._origin):
            gone = [_values(line["deleted"], self.key) for line in batch if "deleted" in line]
            upserts = [_typed(line["row"]) for line in batch if "row" in line]
            yield RowBatch(upserts=upserts, deletes=gone)


class Recording:
    """Takes note of what sources bring, documents as text."""

    def __init__(self) -> None:
        self.batches: list[list[dict[str, Any]]] = []
        self._reader = Reader()

    async def note_rows(self, origin: Origin, batch: RowBatch, key: tuple[str, ...]) -> None:
        """Note rows."""
        lines: list[dict[str, Any]] = [
            {"source": origin.name, "row": dict(row)} for row in batch.upserts
        ]
        for values in batch.deletes:
            gone = dict(zip(key, values, strict=True))
            lines.append({"source": origin.name, "deleted": gone})
        self._add(lines)

    async def note(self, origin: Origin, piece: Arrivals) -> None:
        """Note documents."""
        lines: list[dict[str, Any]] = []
        for one in piece.changes:
            if one.read is None:
                lines.append({"source": origin.name, "deleted": one.key})
                continue
            item = await one.read()
            document = await self._reader(item) if isinstance(item, File) else item
            lines.append({"source": origin.name, "document": _shown(document)})
        self._add(lines)

    async def close(self) -> None:
        await self._reader.close()

    def _add(self, lines: list[dict[str, Any]]) -> None:
        if lines:
            self.batches.append(lines)


class LocalSinks:
    """Libraries in memory and tables in a file of their own, as a server would keep them."""

    def __init__(self, folder: Path) -> None:
        self._tables = Tables(folder / "tables.duckdb", _MEMORY)
        self._libraries: dict[str, dict[str, Document | File]] = {}
        self._cursors: dict[tuple[str, str], Cursor] = {}
        self._missing: list[Declared] = []

    def close(self) -> None:
        self._tables.close()

    async def prepare(self, pipeline: Pipeline) -> None:
        """Begin with nothing."""
        self._libraries = {one.name: {} for one in pipeline.libraries}
        self._missing = [one for one in declarations(pipeline) if one.kind != "query"]

    async def declare_missing(self) -> str:
        """Declare what the tables have columns for by now."""
        missing, reason = [], ""
        for one in self._missing:
            try:
                if one.window is not None:
                    self._tables.put_window(one.window, datetime.now(UTC))
                else:
                    self._tables.put_view(one.name, one.sql, datetime.now(UTC))
            except (BadRequest, NotFound) as e:
                missing.append(one)
                reason = reason or f"{one.name} cannot be declared: {e.message}"
        self._missing = missing
        return reason

    async def withdraw(self, kind: str, name: str) -> None:
        """There is nothing from before."""

    async def put(self, put: Put) -> dict[str, str]:
        """Keep items and let go of others."""
        kind, _, name = put.sink.partition(":")
        if kind == "library":
            library = self._libraries[name]
            for key in put.deletes:
                library.pop(key, None)
            library.update(
                {key: one for key, one in put.upserts.items() if not isinstance(one, dict)}
            )
            return {}
        rows = [one for one in put.upserts.values() if isinstance(one, dict)]
        upserts = shape(rows, put.key)
        deletes = shape_keys([tuple(key_values(one)) for one in put.deletes], put.key)
        self._tables.put(name, put.key, upserts, deletes, now=datetime.now(UTC))
        names = list(put.upserts)
        return {names[place]: reason for place, reason in upserts.refused.items() if place >= 0}

    async def put_rows(
        self, table: str, key: tuple[str, ...], batch: RowBatch, source: str
    ) -> list[tuple[str, str]]:
        """Store a batch."""
        upserts, deletes = shape(batch.upserts, key), shape_keys(batch.deletes, key)
        self._tables.put(
            table, key, upserts, deletes, now=datetime.now(UTC), complete=batch.complete
        )
        if batch.cursor is not None:
            self._cursors[table, source] = batch.cursor
        return [(f"row {place}", reason) for place, reason in upserts.refused.items()]

    async def cursor(self, table: str, source: str) -> Cursor | None:
        """The last cursor of a table's source."""
        return self._cursors.get((table, source))

    async def keys(self, table: str) -> list[list[Any]]:
        """Every key in a table."""
        return self._tables.keys(self._tables.connection, table)

    def outcome(self, pipeline: Pipeline) -> list[dict[str, Any]]:
        """Everything that is kept now."""
        lines: list[dict[str, Any]] = []
        for name, documents in self._libraries.items():
            lines += [{"library": name, **_shown_kept(item)} for item in documents.values()]
        reader = self._tables.connection.cursor()
        there = {table.name: table for table in asking.tables(reader)}
        for table in there.values():
            rows = self._rows(reader, asking.everything(table.name))
            lines += [{table.kind: table.name, "row": row} for row in rows]
            if table.kind == "window" and table.late:
                lines.append({"window": table.name, "late": table.late})
        for query in pipeline.queries:
            try:
                rows = self._rows(reader, query.sql)
            except BadRequest as e:
                lines.append({"query": query.name, "fault": e.message})
                continue
            lines += [{"query": query.name, "row": row} for row in rows]
        return lines

    def _rows(self, reader: Any, sql: str) -> list[dict[str, Any]]:
        return asking.objects(asking.ask(reader, sql, None, asking.MOST_ROWS, _SECONDS))


def _arrival(line: dict[str, Any]) -> Arrival:
    if "deleted" in line:
        return Arrival(str(line["deleted"]))
    try:
        document = msgspec.convert(line.get("document"), Document)
    except msgspec.ValidationError as e:
        raise BadRequest(f"A recorded document does not fit: {e}.") from e
    return Arrival(document.key, read=partial(_ready, document))


async def _ready(item: Item) -> Item:
    return item


def _values(deleted: Any, key: tuple[str, ...]) -> tuple[Any, ...]:
    if isinstance(deleted, dict):
        return tuple(deleted.get(name) for name in key)
    return (deleted,)


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    """A recorded row with its moments as such, so that windows know them."""
    return {
        name: _moment(value) if isinstance(value, str) else value for name, value in row.items()
    }


def _moment(text: str) -> Any:
    if len(text) < len("2026-01-01T00:00:00") or text[10:11] != "T":
        return text
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


def _shown(item: Any) -> Any:
    """A document without the fields that it leaves empty."""
    return {name: value for name, value in msgspec.to_builtins(item).items() if value}


def _shown_kept(item: Document | File) -> dict[str, Any]:
    document = kept(item)
    shown: dict[str, Any] = {"key": document.key, "text": document.data.decode(errors="replace")}
    for name in ("url", "metadata", "access"):
        if getattr(document, name):
            shown[name] = getattr(document, name)
    return shown
