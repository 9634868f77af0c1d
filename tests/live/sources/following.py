"""Drives a source without a library: keeps what it tells, as a library would."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from ponant.live.reading.parsing import UnreadableDocument
from ponant.live.sources.port import Cursor, DocumentSource, Found
from tests.patience import PATIENCE, tries


@dataclass
class Shelf:
    """What was told so far; survives any number of followings."""

    texts: dict[str, str] = field(default_factory=dict)
    found: dict[str, Found] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    cursor: Cursor | None = None
    remark: str = ""
    reads: list[str] = field(default_factory=list)

    async def follow(
        self,
        source: DocumentSource,
        *,
        until: Mapping[str, str] | Callable[[], bool] | None = None,
        stop: int = 0,
    ) -> None:
        """Follow until the texts are these, or something holds, or for one batch.

        Args:
            stop: after so many changes it dies, between two of a batch.
        """
        async with asyncio.timeout(PATIENCE), aclosing(source.batches(self.cursor)) as batches:
            async for batch in batches:
                keys = {change.key for change in batch.changes}
                if batch.complete:
                    for gone in [key for key in self.texts if key not in keys]:
                        self._forget(gone)
                for change in batch.changes:
                    await self._take(change) if isinstance(change, Found) else self._forget(
                        change.key
                    )
                    self.cursor = change.cursor or self.cursor
                    stop -= 1
                    if stop == 0:
                        return
                self.cursor = batch.cursor or self.cursor
                self.remark = batch.remark
                if until is None or (until() if callable(until) else self.texts == until):
                    return

    async def _take(self, change: Found) -> None:
        known = self.found.get(change.key)
        if known is not None and change.signature and known.signature == change.signature:
            return
        self.reads.append(change.key)
        self.found[change.key] = change
        try:
            self.texts[change.key] = (await change.read()).data.decode(errors="replace")
        except UnreadableDocument as e:
            self.faults[change.key] = str(e)
        except FileNotFoundError:
            self._forget(change.key)

    def _forget(self, key: str) -> None:
        self.texts.pop(key, None)
        self.found.pop(key, None)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until it is so."""
    for _ in tries():
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("what was waited for did not come")
