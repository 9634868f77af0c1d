"""What a pipeline's sources bring, whatever their kind: items that came, changed or went."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

import msgspec

from ponant.kit.network import Network
from ponant.live.pipelines.declared import Origin
from ponant.live.pipelines.files import FileRows
from ponant.live.pipelines.generating import Generator, GeneratorRows
from ponant.live.pipelines.items import Checkpoint, Deleted, Document, File, Item, row_key
from ponant.live.relations.port import Cursor, RowBatch, RowSource
from ponant.live.sources.kinds import secret
from ponant.live.sources.port import Found, SourceFault
from ponant.live.sources.roots import Roots

_LOGS = frozenset({"generator", "kafka", "postgres", "push"})

_P = ParamSpec("_P")
_R = TypeVar("_R")

Inbox = Callable[[str, int], Awaitable[list[tuple[int, dict[str, Any]]]]]
Keys = Callable[[], Awaitable[list[list[Any]]]]


@dataclass(frozen=True, slots=True)
class Arrival:
    """An item of a source; ``read`` is None where it went."""

    key: str
    signature: str = ""
    read: Callable[[], Awaitable[Item]] | None = None


@dataclass(frozen=True, slots=True)
class Arrivals:
    """A piece of what a source sees; ``complete`` ones are all there is."""

    changes: Sequence[Arrival]
    complete: bool = False
    cursor: Cursor | None = None
    remark: str = ""
    refused: Sequence[tuple[str, str]] = field(default_factory=tuple)  # key or place, and why


@dataclass(frozen=True, slots=True)
class Opening:
    """What sources are opened with.

    Attributes:
        inbox: items of an inbox past a number, waiting for the first.
        recorded: brings recorded items in place of what the sources see.
        recording: told of every item that a source brings.
        once: whether one look is enough.
    """

    home: Path
    inbox: Inbox
    recorded: "Recorded | None" = None
    recording: "Recording | None" = None
    once: bool = False


class Recorded(Protocol):
    """Items that were recorded."""

    def rows(self, origin: Origin) -> RowSource: ...
    def arrivals(self, origin: Origin) -> AsyncGenerator[Arrivals]: ...


class Recording(Protocol):
    """Takes note of what sources bring."""

    async def note_rows(self, origin: Origin, batch: RowBatch, key: tuple[str, ...]) -> None: ...
    async def note(self, origin: Origin, piece: Arrivals) -> None: ...


def keeps_nothing(origin: Origin) -> bool:
    """Whether a source tells changes once, so that its items are kept for when code changes."""
    return origin.kind in _LOGS


async def arrivals(
    origin: Origin, cursor: Cursor | None, opening: Opening, keys: Keys
) -> AsyncGenerator[Arrivals]:
    """What a source brings, from a cursor on.

    Raises:
        SourceFault: it cannot be read now.
    """
    pieces = _arrivals(origin, cursor, opening, keys)
    if opening.recorded is not None and not origin.rows:
        pieces = opening.recorded.arrivals(origin)
    async with aclosing(pieces) as found:
        async for piece in found:
            if opening.recording is not None and not origin.rows:
                await opening.recording.note(origin, piece)
            yield piece


async def _arrivals(
    origin: Origin, cursor: Cursor | None, opening: Opening, keys: Keys
) -> AsyncGenerator[Arrivals]:
    if origin.rows:
        source = await rows(origin, opening, keys)
        async with aclosing(source.batches(cursor)) as batches:
            async for batch in batches:
                yield _row_arrivals(batch, source.key)
    elif origin.kind == "generator":
        async with aclosing(_generated(origin, cursor, opening)) as pieces:
            async for piece in pieces:
                yield piece
    else:
        async with aclosing(_documents(origin, cursor, opening)) as looks:
            async for look in looks:
                yield look


async def rows(origin: Origin, opening: Opening, keys: Keys) -> RowSource:
    """A source of rows, opened, or what was recorded of it.

    Raises:
        SourceFault: it cannot be reached, or its settings do not fit.
    """
    if opening.recorded is not None:
        return opening.recorded.rows(origin)
    source = await _rows(origin, opening, keys)
    return source if opening.recording is None else _Noted(origin, source, opening.recording)


class _Noted:
    """A source of rows of whose batches note is taken."""

    def __init__(self, origin: Origin, source: RowSource, recording: Recording) -> None:
        self.key = source.key
        self.interval = source.interval
        self._origin, self._source, self._recording = origin, source, recording

    async def batches(self, cursor: Cursor | None) -> AsyncGenerator[RowBatch]:
        async with aclosing(self._source.batches(cursor)) as batches:
            async for batch in batches:
                await self._recording.note_rows(self._origin, batch, self.key)
                yield batch


async def _rows(origin: Origin, opening: Opening, keys: Keys) -> RowSource:
    """A source of rows, opened.

    Args:
        keys: those that are stored, for a source that must find out what is gone.

    Raises:
        SourceFault: it cannot be reached, or its settings do not fit.
    """
    match origin.kind:
        case "csv" | "parquet":
            return FileRows(
                Path(origin.config["path"]), origin.kind, origin.key, origin.config["options"], keys
            )
        case "push":
            return _Pushed(origin, opening.inbox)
        case "generator" if origin.function is not None:
            return GeneratorRows(_generator(origin, opening), origin.key, keys)
        case "postgres":
            return await _postgres(origin, opening.home)
        case "kafka":
            return _kafka(origin)
    raise SourceFault(f"A {origin.kind} brings documents and no rows.")


class _Pushed:
    """The rows that programs push."""

    interval: float | None = None

    def __init__(self, origin: Origin, inbox: Inbox) -> None:
        self.key = origin.key
        self._name = origin.config["inbox"]
        self._inbox = inbox

    async def batches(self, cursor: Cursor | None) -> AsyncGenerator[RowBatch]:
        """Yield what waits; what a cursor passed is taken."""
        after = int((cursor or {}).get("seq", 0))
        while True:
            found = await self._inbox(self._name, after)
            if found:
                after = found[-1][0]
                yield self._batch([item for _, item in found], after)

    def _batch(self, items: list[dict[str, Any]], seq: int) -> RowBatch:
        """The net effect of items in their order."""
        last: dict[str, dict[str, Any]] = {}
        for number, item in enumerate(items):
            last[row_key(item, self.key) or f"no key {number}"] = item
        gone = [one for one in last.values() if one.get("_deleted") is True]
        return RowBatch(
            upserts=[one for one in last.values() if one.get("_deleted") is not True],
            deletes=[tuple(one.get(name) for name in self.key) for one in gone],
            cursor={"seq": seq},
        )


async def _postgres(origin: Origin, home: Path) -> RowSource:
    from ponant.live.sources.postgres_database import Place, PostgresConfig  # noqa: PLC0415 - only where it is used
    from ponant.live.sources.postgres_rows import rows_source  # noqa: PLC0415

    config = _parsed(origin, PostgresConfig)
    password = secret(config, origin.secrets, "password") or ""
    # The slot on the server is named by the home too, as other installations may read there.
    place = Place(config, password, f"{home}:{origin.name}", Network(everything=True))
    return await rows_source(place)


def _kafka(origin: Origin) -> RowSource:
    from ponant.live.sources.kafka import KafkaRows  # noqa: PLC0415 - only where it is used
    from ponant.live.sources.kafka_topic import KafkaConfig  # noqa: PLC0415

    config = _parsed(origin, KafkaConfig)
    return KafkaRows(config, secret(config, origin.secrets, "password") or "")


def _parsed(origin: Origin, kind: type[_R]) -> _R:
    try:
        return msgspec.convert(dict(origin.config), kind)
    except msgspec.ValidationError as e:
        raise SourceFault(f"The settings of {origin.name} do not fit: {e}.") from e


def _row_arrivals(batch: RowBatch, key: tuple[str, ...]) -> Arrivals:
    changes: list[Arrival] = []
    refused: list[tuple[str, str]] = []
    for number, row in enumerate(batch.upserts):
        name = row_key(dict(row), key)
        if name:
            changes.append(Arrival(name, read=partial(_ready, dict(row))))
        else:
            columns = ", ".join(key)
            mend = "Give it one at its source, or name another key."
            refused.append((f"row {number}", f"It has no value in its key, {columns}. {mend}"))
    gone = [row_key(dict(zip(key, one, strict=True)), key) for one in batch.deletes]
    changes += [Arrival(name) for name in gone if name]
    return Arrivals(changes, batch.complete, batch.cursor, batch.remark, refused)


async def _ready(item: Item) -> Item:
    return item


def _generator(origin: Origin, opening: Opening) -> Generator:
    if origin.function is None:
        raise SourceFault(f"{origin.name} is no generator.")
    every = None if opening.once else origin.config["every"]
    return Generator(origin.function, every, snapshot=origin.config["snapshot"])


async def _generated(
    origin: Origin, cursor: Cursor | None, opening: Opening
) -> AsyncGenerator[Arrivals]:
    """Documents of a generator; what a whole pass did not yield is gone."""
    seen: dict[str, Arrival] = {}
    async for piece in _generator(origin, opening).pieces(cursor):
        changes: list[Arrival] = []
        refused: list[tuple[str, str]] = []
        last: Cursor | None = None
        for one in piece.items:
            match one:
                case Document() if one.key:
                    changes.append(Arrival(one.key, read=partial(_ready, one)))
                case Deleted():
                    changes.append(Arrival(str(one.key)))
                case Checkpoint():
                    last = one.cursor
                case _:
                    refused.append((repr(one)[:100], "It is no Document with a key."))
        seen |= {one.key: one for one in changes}
        if piece.complete:
            there = [one for one in seen.values() if one.read is not None]
            yield Arrivals(there, complete=True, refused=refused)
            seen = {}
        elif changes or last or refused:
            yield Arrivals(changes, cursor=last, refused=refused)


async def _documents(
    origin: Origin, cursor: Cursor | None, opening: Opening
) -> AsyncGenerator[Arrivals]:
    """What a kind of source that libraries follow too brings."""
    from ponant.live.sources.kinds import Context, kind_of  # noqa: PLC0415 - loads every client

    kind = kind_of(origin.kind)
    context = Context(
        home=opening.home,
        roots=Roots(opening.home, ()),
        network=Network(everything=True),
        trusted=True,
        aside=_aside,
    )
    checked = await asyncio.to_thread(kind.checked, origin.config, origin.secrets, context)
    source = kind.open(checked, origin.secrets, context)
    async with aclosing(source.batches(cursor)) as batches:
        async for batch in batches:
            changes = [
                Arrival(one.key, one.signature, partial(_file, one))
                if isinstance(one, Found)
                else Arrival(one.key)
                for one in batch.changes
            ]
            yield Arrivals(changes, batch.complete, batch.cursor, batch.remark)


async def _file(found: Found) -> Item:
    content = await found.read()
    about = found.about
    return File(
        key=found.key,
        data=content.data,
        name=found.name,
        media_type=about.media_type,
        url=about.url,
        metadata=dict(about.metadata),
        access=about.access,
    )


async def _aside(function: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
    return await asyncio.to_thread(function, *args, **kwargs)
