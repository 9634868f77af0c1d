"""Runs a pipeline: follows its sources, computes what changed, keeps its sinks in step."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import msgspec

from ponant.kit import PonantError
from ponant.kit.errors import BadRequest, NotFound
from ponant.live.pipelines.arriving import (
    Arrival,
    Arrivals,
    Opening,
    arrivals,
    keeps_nothing,
    rows,
)
from ponant.live.pipelines.computing import Computer, ItemFailed
from ponant.live.pipelines.declaring import Origin, Pipeline
from ponant.live.pipelines.items import (
    File,
    Item,
    digest,
    dump,
    item_hash,
    key_values,
    load,
    row_key,
)
from ponant.live.pipelines.memory import Known, Made, Memory, SourceNow
from ponant.live.pipelines.plan import Path, paths
from ponant.live.pipelines.sinks import Put, Sinks, declarations
from ponant.live.sources.port import SourceFault

_AT_ONCE = 64  # items between two commits
_SIDE_BY_SIDE = 8
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_IDLE_SECONDS = 1.0
_WISH_SECONDS = 0.5
_DECLARE_SECONDS = 5.0

Codes = dict[str, tuple[str, str]]
"""By path, the code that an item is done with: where all went well, and where one path failed."""


@dataclass(slots=True)
class _Brought:
    """An item on its way into the sinks."""

    arrival: Arrival
    known: Known
    item: Item | None = None
    outputs: dict[str, dict[str, tuple[str, Item]]] = field(default_factory=dict)
    failure: ItemFailed | None = None
    unchanged: bool = False


class Runner:
    """One run of a pipeline.

    Args:
        read: turns a file into a document.
        told: called with each source's state.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        memory: Memory,
        sinks: Sinks,
        opening: Opening,
        read: Callable[[File], Any],
        told: Callable[[SourceNow], None] = lambda _: None,
    ) -> None:
        self._pipeline = pipeline
        self._memory = memory
        self._sinks = sinks
        self._opening = opening
        self._told = told
        self._paths = paths(pipeline)
        self.computer = Computer(memory, read)
        self._turn = asyncio.Semaphore(_SIDE_BY_SIDE)
        self._again = asyncio.Event()

    async def run(self, *, once: bool = False) -> None:
        """Follow every source until cancelled, or until each was seen once."""
        self._opening = replace(self._opening, once=once)
        self._memory.forget_old()
        self._memory.clear_states()
        await self._sinks.prepare(self._pipeline)
        await self._take_back_strays()
        await self._withdraw()
        await self._sinks.declare_missing()
        declaring = asyncio.create_task(self._keep_declaring())
        wishing = asyncio.create_task(self._listen_for_wishes())
        try:
            async with asyncio.TaskGroup() as group:
                for origin in self._pipeline.origins:
                    group.create_task(self._follow(origin, once=once))
            reason = await self._sinks.declare_missing()
            if once and reason:
                raise BadRequest(reason)
        finally:
            for task in (declaring, wishing):
                task.cancel()
            await asyncio.gather(declaring, wishing, return_exceptions=True)

    async def _withdraw(self) -> None:
        """Remove the windows, views and queries that the file no longer declares."""
        declared = [(one.kind, one.name) for one in declarations(self._pipeline)]
        for kind, name in self._memory.note_declared(declared):
            await self._sinks.withdraw(kind, name)

    async def _keep_declaring(self) -> None:
        """Try what is missing now and then, as another pipeline may bring its tables."""
        while True:
            await asyncio.sleep(_DECLARE_SECONDS)
            with contextlib.suppress(PonantError):
                await self._sinks.declare_missing()

    async def _follow(self, origin: Origin, *, once: bool) -> None:
        """Keep following one source, whatever becomes of it."""
        own = [path for path in self._paths if path.origin is origin]
        if not own:
            return
        direct = own[0] if len(own) == 1 and own[0].is_direct else None
        pause = _FIRST_PAUSE
        while True:
            follow = self._pump(direct, once) if direct else self._bring_all(origin, own, once)
            try:
                await self._until_asked_again(follow)
                if once:
                    return
                pause = wait = _FIRST_PAUSE
            except SourceFault as e:
                wait = e.retry_after or pause
                self._show(origin, "error", e.message)
            except PonantError as e:
                wait = e.retry_after or pause
                self._show(origin, "error", e.message)
            except OSError as e:
                wait = pause
                self._show(origin, "error", f"It cannot be read: {e.strerror or e}.")
            pause = min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(wait)

    async def _until_asked_again(self, follow: Any) -> None:
        """Run until it ends, or somebody wants everything looked at again."""
        work = asyncio.ensure_future(follow)
        again = asyncio.ensure_future(self._again.wait())
        try:
            await asyncio.wait((work, again), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
                # A source that ended is looked at again when somebody asks.
        finally:
            for task in (work, again):
                task.cancel()
            await asyncio.gather(work, again, return_exceptions=True)

    # Rows that go straight into a table, with their cursor in the table's own transaction

    async def _pump(self, path: Path, once: bool) -> None:  # noqa: FBT001 - passed on
        table, origin = path.sink.partition(":")[2], path.origin
        cursor = await self._sinks.cursor(table, origin.name)
        source = await rows(origin, self._opening, partial(self._sinks.keys, table))
        seen = 0
        async with aclosing(source.batches(cursor)) as batches:
            async for batch in _until_idle(batches, once=once):
                refused = await self._sinks.put_rows(table, source.key, batch, origin.name)
                await self._sinks.declare_missing()
                with self._memory.transaction():
                    for place, reason in refused:
                        self._memory.put_failure(origin.name, place, path.sink, reason)
                seen += len(batch.upserts)
                self._show(origin, "in_step", batch.remark, seen=seen)
        self._show(origin, "in_step", "", seen=seen)
        if not once:
            await asyncio.Event().wait()

    # Everything else

    async def _bring_all(self, origin: Origin, own: Sequence[Path], once: bool) -> None:  # noqa: FBT001
        codes = _codes(own)
        await self._replay(origin, own, codes)
        cursor = self._memory.cursor(origin.name)
        stored = partial(self._stored_keys, origin)
        async with aclosing(arrivals(origin, cursor, self._opening, stored)) as found:
            async for piece in _until_idle(found, once=once):
                await self._take(origin, own, codes, piece)
                if once and piece.complete:
                    return
        if not once:
            await asyncio.Event().wait()

    async def _stored_keys(self, origin: Origin) -> list[list[Any]]:
        return [key_values(key) for key in self._memory.known(origin.name)]

    async def _replay(self, origin: Origin, own: Sequence[Path], codes: Codes) -> None:
        """Bring through again what a log told once and present code has not seen."""
        if not keeps_nothing(origin):
            return
        kept = list(self._memory.bodies(origin.name, codes))
        changes = [Arrival(key, known.signature, partial(_kept, body)) for key, known, body in kept]
        if changes:
            await self._take(origin, own, codes, Arrivals(changes))

    async def _take(
        self, origin: Origin, own: Sequence[Path], codes: Codes, piece: Arrivals
    ) -> None:
        known = self._memory.known(origin.name)
        there = {one.key: one for one in piece.changes if one.read is not None}
        gone = [one.key for one in piece.changes if one.read is None and one.key not in there]
        if piece.complete:
            gone = [key for key in known if key not in there]
        await self._take_back(origin, own, [key for key in gone if key in known])
        done = self._memory.all_done(origin.name)
        work = [
            one
            for one in there.values()
            if not _is_known(one, known.get(one.key), done.get(one.key, {}), codes)
        ]
        for start in range(0, len(work), _AT_ONCE):
            self._show(origin, "syncing", f"{len(work) - start} wait.", seen=len(there))
            some = work[start : start + _AT_ONCE]
            brought = await asyncio.gather(
                *(
                    self._bring(own, codes, one, known.get(one.key), done.get(one.key, {}))
                    for one in some
                )
            )
            await self._store(origin, own, brought)
        with self._memory.transaction():
            for place, reason in piece.refused:
                self._memory.put_failure(origin.name, place, "source", reason)
            if piece.cursor is not None:
                self._memory.set_cursor(origin.name, piece.cursor)
        seen = len(there) if piece.complete else len(self._memory.known(origin.name))
        empty = piece.complete and not there and not origin.rows
        message = "The source holds nothing. Check that it is the right one." if empty else ""
        self._show(origin, "error" if empty else "in_step", message or piece.remark, seen=seen)

    async def _bring(
        self,
        own: Sequence[Path],
        codes: Codes,
        arrival: Arrival,
        known: Known | None,
        done: dict[str, tuple[str, str]],
    ) -> _Brought:
        async with self._turn:
            found = _Brought(arrival, known or Known("", ""))
            try:
                found.item = await _read(arrival)
            except ItemFailed as e:
                found.failure = e
                found.known = Known(arrival.signature, found.known.hash)
                return found
            hashed = item_hash(found.item)
            found.known = Known(arrival.signature, hashed)
            if all(
                path in done and done[path][0] == hashed and done[path][1] in accepted
                for path, accepted in codes.items()
            ):
                found.unchanged = True
                return found
            try:
                for path in own:
                    outputs = await self.computer.outputs(path, found.item)
                    found.outputs[path.name] = _named(path, outputs)
            except ItemFailed as e:
                found.failure = e
            return found

    async def _store(
        self, origin: Origin, own: Sequence[Path], brought: Sequence[_Brought]
    ) -> None:
        """Tell the sinks, then remember that they were told."""
        puts = self._puts(origin, own, brought)
        for put in puts.values():
            if put.upserts or put.deletes:
                put.refused.update(await self._sinks.put(put))
                await self._sinks.declare_missing()
        with self._memory.transaction():
            for one in brought:
                self._remember(origin, own, one, puts)

    def _puts(
        self, origin: Origin, own: Sequence[Path], brought: Sequence[_Brought]
    ) -> dict[str, Put]:
        """What each sink is to be told: only what differs from what it was told before."""
        puts = {path.sink: Put(path.sink, path.key) for path in own}
        claimed: dict[tuple[str, str], str] = {}
        released = self._released(origin, own, brought)
        for one in brought:
            if one.failure is not None or one.unchanged:
                continue
            try:
                for path in own:
                    self._claim(origin, path, one, claimed, released)
            except ItemFailed as e:
                one.failure = e
                continue
            for path in own:
                before = self._memory.made(path.name, origin.name, one.arrival.key)
                after = one.outputs[path.name]
                put = puts[path.sink]
                for name, (hashed, item) in after.items():
                    if before.get(name) != hashed:
                        put.upserts[name] = item
                put.deletes.update(name for name in before if name not in after)
        for put in puts.values():
            put.deletes.difference_update(put.upserts)
        return puts

    def _released(
        self, origin: Origin, own: Sequence[Path], brought: Sequence[_Brought]
    ) -> set[tuple[str, str]]:
        """What items of this piece no longer become, so that others may."""
        released: set[tuple[str, str]] = set()
        for one in brought:
            if one.failure is not None or one.unchanged:
                continue
            for path in own:
                before = self._memory.made(path.name, origin.name, one.arrival.key)
                released.update((path.sink, n) for n in before if n not in one.outputs[path.name])
        return released

    def _claim(
        self,
        origin: Origin,
        path: Path,
        one: _Brought,
        claimed: dict[tuple[str, str], str],
        released: set[tuple[str, str]],
    ) -> None:
        """Refuse that two items become one thing, of which each would undo the other."""
        key = one.arrival.key
        for name in one.outputs[path.name]:
            place = (path.sink, name)
            owner = self._memory.owner(*place)
            mine = (path.name, origin.name, key)
            taken = owner is not None and owner != mine and place not in released
            other = claimed.get(place, owner[2] if owner and taken else None)
            if other is not None and (taken or other != key):
                raise ItemFailed(
                    path.sink,
                    f"{name} is already made from {other}. Give what is made of each its own key.",
                )
            claimed[place] = key

    def _remember(
        self, origin: Origin, own: Sequence[Path], one: _Brought, puts: dict[str, Put]
    ) -> None:
        key = one.arrival.key
        body = _body(one.item) if one.item is not None and keeps_nothing(origin) else None
        refused = {
            reason
            for path in own
            for name in one.outputs.get(path.name, {})
            if (reason := puts[path.sink].refused.get(name)) is not None
        }
        if one.failure is None and refused:
            one.failure = ItemFailed("sink", "; ".join(sorted(refused)))
        self._memory.put_input(origin.name, key, one.known, body)
        for path in own:
            code = path.code if one.failure is None else _failed_code(own)
            if not one.unchanged:
                self._memory.set_done(path.name, origin.name, key, one.known.hash, code)
        if one.failure is not None:
            self._memory.put_failure(origin.name, key, one.failure.step, one.failure.reason)
            return
        if not one.unchanged:
            self._memory.clear_failure(origin.name, key)
        for path in own:
            if one.unchanged:
                continue
            after = one.outputs[path.name]
            before = self._memory.made(path.name, origin.name, key)
            gone = [n for n in before if n not in after and n not in puts[path.sink].upserts]
            self._memory.drop_outputs(path.sink, gone)
            for name, (hashed, _) in after.items():
                self._memory.put_output(path.sink, Made(name, hashed, origin.name, key, path.name))

    async def _take_back(self, origin: Origin, own: Sequence[Path], keys: Sequence[str]) -> None:
        """What was made of items that went goes too."""
        if not keys:
            return
        puts = {path.sink: Put(path.sink, path.key) for path in own}
        for key in keys:
            for path in own:
                puts[path.sink].deletes.update(self._memory.made(path.name, origin.name, key))
        for put in puts.values():
            if put.deletes:
                await self._sinks.put(put)
        with self._memory.transaction():
            for put in puts.values():
                self._memory.drop_outputs(put.sink, put.deletes)
            for key in keys:
                self._memory.drop_input(origin.name, key)

    async def _take_back_strays(self) -> None:
        """What paths made that are no longer declared goes."""
        declared = {path.sink: path.key for path in self._paths}
        puts: dict[str, Put] = {}
        for sink, name in self._memory.strays([path.name for path in self._paths]):
            puts.setdefault(sink, Put(sink, declared.get(sink, ()))).deletes.add(name)
        for put in puts.values():
            with contextlib.suppress(BadRequest, NotFound):  # it is gone, with all that is in it
                await self._sinks.put(put)
            self._memory.drop_outputs(put.sink, put.deletes)

    async def _listen_for_wishes(self) -> None:
        while True:
            await asyncio.sleep(_WISH_SECONDS)
            if await asyncio.to_thread(self._memory.take_wish, "retry"):
                self._memory.forget_inputs(self._memory.failures())
                self._again.set()
                await asyncio.sleep(0)
                self._again.clear()

    def _show(self, origin: Origin, state: str, message: str, seen: int = 0) -> None:
        failed = sum(one.source == origin.name for one in self._memory.failures())
        now = SourceNow(
            source=origin.name,
            state=state,
            message=message,
            seen=seen,
            computed=self.computer.computed,
            kept=self.computer.kept,
            failed=failed,
            at=time.time(),
        )
        self._memory.set_state(now)
        self._told(now)


def _codes(own: Sequence[Path]) -> Codes:
    return {path.name: (path.code, _failed_code(own)) for path in own}


def _failed_code(own: Sequence[Path]) -> str:
    """Stands for a failure under the present code of every path, none of which was taken then."""
    return digest(b"failed", *(f"{path.name} {path.code}".encode() for path in own))


def _is_known(
    arrival: Arrival,
    known: Known | None,
    done: dict[str, tuple[str, str]],
    codes: Codes,
) -> bool:
    """Whether an item is as it was, and so is the code, without reading it."""
    if known is None or not arrival.signature or arrival.signature != known.signature:
        return False
    return all(path in done and done[path][1] in accepted for path, accepted in codes.items())


async def _read(arrival: Arrival) -> Item:
    if arrival.read is None:
        raise ItemFailed("source", "It went meanwhile.")
    try:
        return await arrival.read()
    except (OSError, ValueError, RuntimeError) as e:
        raise ItemFailed("source", f"It cannot be read: {e}") from e


def _named(path: Path, outputs: Iterable[Item]) -> dict[str, tuple[str, Item]]:
    """Outputs by their names in the sink, with their hashes."""
    found: dict[str, tuple[str, Item]] = {}
    for item in outputs:
        name = row_key(item, path.key) if isinstance(item, dict) else item.key
        if not name:
            raise ItemFailed(path.sink, f"a row has no value in its key, {', '.join(path.key)}")
        if name in found:
            raise ItemFailed(path.sink, f"it makes {name} twice")
        found[name] = (item_hash(item), item)
    return found


def _body(item: Item) -> bytes:
    if isinstance(item, File):
        return b"f" + msgspec.msgpack.encode(item)
    return b"i" + dump([item])


async def _kept(body: bytes) -> Item:
    if body[:1] == b"f":
        return msgspec.msgpack.decode(body[1:], type=File)
    return load(body[1:])[0]


async def _until_idle(batches: AsyncIterator[Any], *, once: bool) -> AsyncIterator[Any]:
    """Batches; only those that come without a pause where one look is enough."""
    while True:
        try:
            async with asyncio.timeout(_IDLE_SECONDS if once else None):
                batch = await anext(batches)
        except (StopAsyncIteration, TimeoutError):
            return
        yield batch
