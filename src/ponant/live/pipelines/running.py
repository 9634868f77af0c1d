"""Runs a pipeline: follows its sources, computes what changed, keeps its sinks in step."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from ponant.kit import PonantError
from ponant.kit.errors import BadRequest
from ponant.live.pipelines.arriving import (
    Arrival,
    Arrivals,
    Opening,
    arrivals,
    keeps_nothing,
    rows,
)
from ponant.live.pipelines.calling import Transforms
from ponant.live.pipelines.computing import Computer, ItemFailed
from ponant.live.pipelines.declared import Origin, Pipeline
from ponant.live.pipelines.items import (
    File,
    Item,
    item_hash,
    key_values,
    load,
    row_key,
)
from ponant.live.pipelines.memory import Known, Memory, SourceNow
from ponant.live.pipelines.plan import Path, paths
from ponant.live.pipelines.sinks import Sinks, declarations
from ponant.live.pipelines.storing import Brought, Storing, failed_code
from ponant.live.pipelines.transforming import SIDE_BY_SIDE
from ponant.live.sources.port import SourceFault

_AT_ONCE = 64  # items between two commits
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_IDLE_SECONDS = 1.0
_FIRST_SECONDS = 60.0  # servers answer late, and folders are long
_WISH_SECONDS = 0.5
_DECLARE_SECONDS = 5.0

Codes = dict[str, tuple[str, str]]
"""By path, the code that an item is done with: where all went well, and where one path failed."""


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
        self._storing = Storing(memory, sinks, self._paths)
        self._transforms = Transforms(pipeline.file)
        self.computer = Computer(memory, read, self._transforms)
        self._turn = asyncio.Semaphore(SIDE_BY_SIDE)
        self._again = asyncio.Event()

    async def run(self, *, once: bool = False) -> None:
        """Follow every source until cancelled, or until each was seen once."""
        self._opening = replace(self._opening, once=once)
        self._memory.forget_old()
        self._memory.clear_states()
        await self._sinks.prepare(self._pipeline)
        await self._storing.take_back_strays()
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
            await self._transforms.close()

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
                if await self._until_asked_again(follow) and once:
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

    async def _until_asked_again(self, follow: Any) -> bool:
        """Run until it ends, or somebody wants everything looked at again: then False."""
        work = asyncio.ensure_future(follow)
        again = asyncio.ensure_future(self._again.wait())
        try:
            await asyncio.wait((work, again), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return False
            await work
            return True
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
            async for batch in _until_idle(batches, once=once, first=_FIRST_SECONDS):
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
            # Nobody pushes while one look is taken: what lies there comes at once.
            first = _IDLE_SECONDS if origin.kind == "push" else _FIRST_SECONDS
            async for piece in _until_idle(found, once=once, first=first):
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
        await self._storing.take_back(origin, own, [key for key in gone if key in known])
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
            await self._storing.store(origin, own, brought)
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
    ) -> Brought:
        async with self._turn:
            found = Brought(arrival, known or Known("", ""))
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
    return {path.name: (path.code, failed_code(own)) for path in own}


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
            raise ItemFailed(
                path.sink,
                f"a row has no value in its key, {', '.join(path.key)}; give it one, or name "
                "another key",
            )
        if name in found:
            raise ItemFailed(path.sink, f"it makes {name} twice")
        found[name] = (item_hash(item), item)
    return found


async def _kept(body: bytes) -> Item:
    if body[:1] == b"f":
        return msgspec.msgpack.decode(body[1:], type=File)
    return load(body[1:])[0]


async def _until_idle(
    batches: AsyncIterator[Any], *, once: bool, first: float
) -> AsyncIterator[Any]:
    """Batches; only those that come without a pause where one look is enough.

    Args:
        first: seconds that the first of them may take.
    """
    wait = first
    while True:
        try:
            async with asyncio.timeout(wait if once else None):
                batch = await anext(batches)
        except (StopAsyncIteration, TimeoutError):
            return
        yield batch
        wait = _IDLE_SECONDS
