"""Any Python generator as a source; a synchronous one runs on a thread and is held back."""

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from ponant.live.pipelines.items import Checkpoint, Deleted, row_key
from ponant.live.relations.port import Cursor, Key, RowBatch
from ponant.live.sources.port import SourceFault

_MOST_AHEAD = 2000  # items that a generator may be ahead of what is stored
_PIECE = 1000


@dataclass(frozen=True, slots=True)
class Piece:
    """Items in their order; ``complete`` where a whole pass of a snapshot ended with them."""

    items: list[Any]
    complete: bool = False


class Generator:
    """Runs a function's generator, again and again where it is to.

    Args:
        every: seconds between the end of a pass and the next; None runs it once.
        snapshot: whether what a whole pass yields is all there is.
    """

    def __init__(
        self, function: Callable[..., Any], every: float | None, *, snapshot: bool
    ) -> None:
        self._function = function
        self._every = every
        self._snapshot = snapshot

    async def pieces(self, cursor: Cursor | None) -> AsyncGenerator[Piece]:
        """Yield what the generator yields, as soon as it does.

        Raises:
            SourceFault: the generator raised.
        """
        while True:
            is_log = False
            try:
                async with aclosing(self._pass(cursor)) as lists:
                    async for items in lists:
                        for one in items:
                            if isinstance(one, Checkpoint):
                                cursor, is_log = one.cursor, True
                        yield Piece(items)
            except SourceFault:
                raise
            except Exception as e:
                name = getattr(self._function, "__name__", "source")
                raise SourceFault(
                    f"{name} raised {type(e).__name__}: {e}. Mend it; it is tried again, and what "
                    "it brought before stays."
                ) from e
            if self._snapshot and not is_log:
                yield Piece([], complete=True)
            if self._every is None:
                return
            await asyncio.sleep(self._every)

    def _pass(self, cursor: Cursor | None) -> AsyncGenerator[list[Any]]:
        takes = "cursor" in inspect.signature(self._function).parameters
        made = self._function(cursor=cursor) if takes else self._function()
        return _asynchronous(made) if inspect.isasyncgen(made) else _threaded(made)


class GeneratorRows:
    """Rows of a generator."""

    interval: float | None = None

    def __init__(
        self,
        generator: Generator,
        key: tuple[str, ...],
        keys: Callable[[], Awaitable[list[list[Any]]]],
    ) -> None:
        self.key = key
        self._generator = generator
        self._keys = keys

    async def batches(self, cursor: Cursor | None) -> AsyncGenerator[RowBatch]:
        """Yield rows; after a whole pass of a snapshot, what it did not hold."""
        seen: set[str] = set()
        async for piece in self._generator.pieces(cursor):
            batch = self._batch(piece.items)
            seen.update(row_key(dict(row), self.key) for row in batch.upserts)
            if piece.items:
                yield batch
            if piece.complete:
                known = await self._keys()
                gone = [one for one in known if self._name(one) not in seen]
                yield RowBatch(deletes=[tuple(one) for one in gone])
                seen = set()

    def _batch(self, items: list[Any]) -> RowBatch:
        last: dict[str, Any] = {}
        cursor: Cursor | None = None
        for number, one in enumerate(items):
            if isinstance(one, Checkpoint):
                cursor = one.cursor
            elif isinstance(one, Deleted):
                last[self._name(self._values(one))] = one
            elif isinstance(one, dict):
                last[row_key(one, self.key) or f"no key {number}"] = one
            else:
                raise SourceFault(f"A row is a dict, and not a {type(one).__name__}.")
        return RowBatch(
            upserts=[one for one in last.values() if isinstance(one, dict)],
            deletes=[self._values(one) for one in last.values() if isinstance(one, Deleted)],
            cursor=cursor,
        )

    def _values(self, deleted: Deleted) -> Key:
        if isinstance(deleted.key, dict):
            return tuple(deleted.key.get(name) for name in self.key)
        return (deleted.key,)

    def _name(self, values: Key | list[Any]) -> str:
        return row_key(dict(zip(self.key, values, strict=True)), self.key)


async def _asynchronous(items: AsyncIterator[Any]) -> AsyncGenerator[list[Any]]:
    """An asynchronous generator's items, several at a time where they come without waiting."""
    queue: asyncio.Queue[Any] = asyncio.Queue(_MOST_AHEAD)
    end = object()

    async def pull() -> None:
        try:
            async for one in items:
                await queue.put(one)
        finally:
            await queue.put(end)

    pulling = asyncio.create_task(pull())
    try:
        while True:
            piece = [await queue.get()]
            while not queue.empty() and len(piece) < _PIECE:
                piece.append(queue.get_nowait())
            ended = piece[-1] is end
            if ended:
                piece.pop()
            if piece:
                yield piece
            if ended:
                await pulling
                return
    finally:
        pulling.cancel()
        await asyncio.gather(pulling, return_exceptions=True)


async def _threaded(items: Iterator[Any]) -> AsyncGenerator[list[Any]]:
    """A synchronous generator's items; its thread waits while too many are not stored."""
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    room = threading.Semaphore(_MOST_AHEAD)
    waiting: deque[Any] = deque()
    stopped = threading.Event()
    ended: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if ended.done():
            return
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)
        arrived.set()

    def run() -> None:
        error: BaseException | None = None
        try:
            for one in items:
                room.acquire()
                if stopped.is_set():
                    return
                waiting.append(one)
                loop.call_soon_threadsafe(arrived.set)
        except Exception as e:  # noqa: BLE001 - handed to whoever awaits the items
            error = e
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, daemon=True).start()
    try:
        while True:
            await arrived.wait()
            arrived.clear()
            while waiting:
                piece = [waiting.popleft() for _ in range(min(_PIECE, len(waiting)))]
                yield piece
                room.release(len(piece))
            if ended.done() and not waiting:
                await ended
                return
    finally:
        stopped.set()
        room.release(_MOST_AHEAD)
        if ended.done():
            ended.exception()  # seen, so that it is not complained of
