"""Any Python generator as a source: what it yields are the documents."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
)
from functools import partial

import msgspec

from ponant.live.port import MetadataValue
from ponant.live.sources.port import Batch, Content, Cursor, Found, Gone, SourceFault

_MOST_IN_A_BATCH = 256


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A document as a generator yields it.

    Attributes:
        key: its stable name.
        text: Markdown; or ``data`` for a file's bytes, with a name that tells its kind.
        cursor: where the generator goes on once this is stored.
    """

    key: str
    text: str | None = None
    data: bytes | None = None
    name: str | None = None
    media_type: str | None = None
    url: str | None = None
    metadata: dict[str, MetadataValue] = {}
    access: tuple[str, ...] | None = None
    cursor: Cursor | None = None

    def found(self) -> Found:
        """The document as a change."""
        data = self.data if self.data is not None else (self.text or "").encode()
        content = Content.of(data, "")
        content = Content(data, content.hash, content.hash)
        return Found(
            key=self.key,
            signature=content.hash,
            name=self.name or self.key.rstrip("/").rpartition("/")[2] or self.key,
            read=partial(_given, content),
            media_type=self.media_type or ("text/markdown" if self.data is None else None),
            url=self.url,
            metadata=self.metadata,
            access=self.access,
            cursor=self.cursor,
        )


Yielded = Item | Found | Gone
Generator = Callable[[Cursor | None], Iterable[Yielded] | AsyncIterable[Yielded]]


class GeneratorSource:
    """Documents that a generator yields.

    Args:
        function: called with the cursor that was last stored; yields documents, and `Gone` for
            those that went. One that is not asynchronous runs on a thread.
        interval: seconds after which it is called again; what a run no longer yields is then
            gone. None calls it once and takes it for a log: only `Gone` deletes.
    """

    def __init__(self, function: Generator, interval: float | None = None) -> None:
        self.interval = interval
        self._function = function

    async def batches(self, cursor: Cursor | None) -> AsyncGenerator[Batch]:
        """Yield what the generator does: a run at a time, or as it comes."""
        if self.interval is None:
            async for batch in self._log(cursor):
                yield batch
            await asyncio.Event().wait()
        while self.interval is not None:
            changes = [one async for one in self._changes(cursor)]
            yield Batch(changes=changes, complete=True)
            await asyncio.sleep(self.interval)

    async def _log(self, cursor: Cursor | None) -> AsyncGenerator[Batch]:
        """What comes close together in one batch; what waits is bounded by two of them."""
        queue: asyncio.Queue[Found | Gone | None] = asyncio.Queue(_MOST_IN_A_BATCH)
        filling = asyncio.create_task(self._fill(queue, cursor))
        try:
            more = True
            while more:
                waiting = [await queue.get()]
                while not queue.empty() and len(waiting) < _MOST_IN_A_BATCH:
                    waiting.append(queue.get_nowait())
                more = waiting[-1] is not None
                yield Batch(changes=[one for one in waiting if one is not None], complete=False)
            await filling
        finally:
            filling.cancel()
            await asyncio.gather(filling, return_exceptions=True)

    async def _fill(self, queue: asyncio.Queue[Found | Gone | None], cursor: Cursor | None) -> None:
        try:
            async for change in self._changes(cursor):
                await queue.put(change)
        finally:
            await queue.put(None)

    async def _changes(self, cursor: Cursor | None) -> AsyncIterator[Found | Gone]:
        try:
            given = self._function(cursor)
            items = given if isinstance(given, AsyncIterable) else _threaded(iter(given))
            async for item in items:
                yield item.found() if isinstance(item, Item) else item
        except SourceFault:
            raise
        except Exception as e:
            name = getattr(self._function, "__name__", "generator")
            raise SourceFault(
                f"The generator {name} raised {type(e).__name__}: {e}. Mend it; it is called again."
            ) from e


async def _threaded(items: Iterator[Yielded]) -> AsyncIterator[Yielded]:
    while (item := await asyncio.to_thread(next, items, None)) is not None:
        yield item


async def _given(content: Content) -> Content:
    return content
