"""Keeps a library in step with one source, whatever its kind.

A batch is taken in one document after the other, each in a transaction that also stores where the
source goes on, and the next batch is asked for only then: that is all the back-pressure there is.
What is stored is searched for at once; the disk has it before a source is asked for more that would
not tell it again.
What somebody saves meanwhile overtakes the rest of a long batch.
A source that fails is shown with its reason and asked again, with growing pauses; what it held
when last read answers meanwhile.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import structlog
from sqlalchemy.exc import SQLAlchemyError

from ponant.kit.errors import NotFound, PonantError
from ponant.live.indexing.ingestion import Home, Ingestion
from ponant.live.sources.intake import Intake
from ponant.live.sources.port import Batch, DocumentSource, Found, Gone, SignInRefused, SourceFault
from ponant.live.sources.pushed import PushIntake
from ponant.live.sources.state import PushOutcome, SourceState
from ponant.live.sources.stock import Stock

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0
_GLANCE_SECONDS = 0.2  # a long batch asks this often whether a newer one is worth more
_HURRY = 4  # with more documents waiting, keywords come first and vectors later
_NOTE_SECONDS = 0.1
_EMPTY = "The source holds no documents. Check that it is the right one and that it may be read."

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Run:
    """Documents taken in one after the other, to tell the rate by."""

    begun: float
    done: int = 0

    @property
    def rate(self) -> float:
        return self.done / max(time.monotonic() - self.begun, 0.001)


class Follower:
    """Follows one source until cancelled.

    Args:
        open_source: makes the source; called anew after every fault, which may be one of its
            settings.
        changed: called when `state` is another.
    """

    def __init__(
        self,
        place: Home,
        open_source: Callable[[], Awaitable[DocumentSource]],
        ingestion: Ingestion,
        changed: Callable[[], None],
        *,
        kind: str = "",
    ) -> None:
        self.kind = kind
        self.state = SourceState()
        self._home = place
        self._open = open_source
        self._ingestion = ingestion
        self._changed = changed
        self._stock = Stock()
        self._intake = Intake(place, ingestion, self._stock)
        self._pushed = PushIntake(self._intake, self._stock)
        self._again = asyncio.Event()
        self._pause = _FIRST_PAUSE
        self._noted = 0.0
        self._run = _Run(0.0)
        self._alone = asyncio.Lock()
        self._loaded = asyncio.Event()

    @property
    def library_id(self) -> str:
        return self._home.library_id

    async def run(self) -> None:
        """Follow until cancelled."""
        database = self._ingestion.index.database
        await self._ingestion.begun.wait()
        await self._ingestion.aside(self._stock.load, database, self._home)
        self._loaded.set()
        while True:
            self._again.clear()
            retry_after = await self._follow_until_fault()
            pause = self._pause if retry_after is None else retry_after
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            await _wait(self._again, pause)

    def retry(self) -> int:
        """Read again what could not be read; returns how many documents that are."""
        count = self._stock.forget_failures()
        self._pause = _FIRST_PAUSE
        self._again.set()
        return count

    async def take_now(self, changes: Sequence[Found | Gone]) -> list[PushOutcome]:
        """Take pushed changes in; the disk has each when this returns."""
        await self._loaded.wait()
        async with self._alone:
            outcomes = [
                await self._pushed.take(one, hurry=len(changes) - number > _HURRY)
                for number, one in enumerate(changes)
            ]
            self._note(Batch(changes=(), complete=False), 0)
        await self._ingestion.settling.settled()
        return outcomes

    async def _follow_until_fault(self) -> float | None:
        """Take in what the source tells; returns the pause that it asks for when it cannot."""
        try:
            source = await self._open()
            self.state.interval = source.interval
            await self._take_batches(source)
        except SourceFault as e:
            self._fail(e.message, refused=isinstance(e, SignInRefused))
            return e.retry_after
        except NotFound:
            self._fail("The library is gone.")
        except PonantError as e:
            self._fail(e.message)
        except SQLAlchemyError as e:
            _log.error("A change was not stored.", source=self._home.source_id, reason=str(e))
            self._fail("What changed could not be stored. It is tried again.")
        except OSError as e:
            self._fail(f"The source cannot be read: {e.strerror or e}. It is tried again.")
        except Exception:  # noqa: BLE001 - whatever it is, other sources go on and this one is shown
            _log.exception("A source failed.", source=self._home.source_id)
            self._fail("The source failed; the server's log says why. It is tried again.")
        else:
            return source.interval if source.interval is not None else self._pause
        return None

    async def _take_batches(self, source: DocumentSource) -> None:
        async with aclosing(source.batches(self._stock.cursor)) as batches:
            while (batch := await self._next(batches)) is not None:
                async with self._alone:
                    await self._apply(batch)
                if not batch.kept:
                    await self._ingestion.settling.settled()
                self.state.interval = source.interval
                self._pause = _FIRST_PAUSE

    async def _next(self, batches: AsyncGenerator[Batch]) -> Batch | None:
        """The next batch; None where the source ended or is to be asked anew."""
        batch = asyncio.create_task(_first(batches))
        again = asyncio.create_task(self._again.wait())
        try:
            await asyncio.wait((batch, again), return_when=asyncio.FIRST_COMPLETED)
            return await batch if batch.done() else None
        finally:
            batch.cancel()
            again.cancel()
            await asyncio.gather(batch, again, return_exceptions=True)

    async def _apply(self, batch: Batch) -> None:
        """Take a batch in; ends early when a newer look is worth more than the rest."""
        changes = await self._intake.without_moves(batch)
        await self._intake.forget(batch)
        work = [one for one in changes if isinstance(one, Gone) or self._stock.is_new(one)]
        if batch.complete:
            work = [one for one in work if isinstance(one, Found)]
            work.sort(key=lambda one: not _is_urgent(one))
        self._run = _Run(time.monotonic())
        self._note(batch, len(work))
        last = time.monotonic()
        overtaken: set[str] = set()
        for number, change in enumerate(work):
            if (newer := await self._overtaking(batch)) is not None:
                batch = replace(batch, seen=newer.seen)
                overtaken.update(one.key for one in newer.changes)
            if change.key in overtaken:
                continue
            if batch.stale is not None and time.monotonic() - last > _GLANCE_SECONDS:
                if batch.stale():
                    return
                last = time.monotonic()
            left = len(work) - number - 1
            first = number < _HURRY and _is_urgent(change)
            await self._intake.take(change, hurry=left >= _HURRY and not first)
            self._run.done += 1
            if left and time.monotonic() - self._noted > _NOTE_SECONDS:
                self._note(batch, left)
        await self._intake.store_cursor(batch)
        self._note(batch, 0)

    async def _overtaking(self, batch: Batch) -> Batch | None:
        """What changed since a batch was made, taken in before the rest of it."""
        newer = None if batch.newer is None else await batch.newer()
        if newer is not None:
            for change in await self._intake.without_moves(newer):
                await self._intake.take(change, hurry=False)
        return newer

    def _note(self, batch: Batch, pending: int) -> None:
        before = self._shown
        self._noted = time.monotonic()
        pending += batch.waiting
        found = sum(isinstance(one, Found) for one in batch.changes)
        known = len(self._stock.known)
        rate = self._run.rate if pending else 0.0
        self.state = SourceState(
            state="syncing" if pending else "in_step",
            message=_remark(batch, len(self._stock.passed)),
            seen=batch.seen if batch.seen is not None else found if batch.complete else known,
            indexed=self._stock.states["indexed"],
            failed=self._stock.states["failed"] + len(self._stock.passed),
            pending=pending,
            checked_at=self._ingestion.index.clock.now(),
            rate=rate,
            seconds_left=pending / rate if rate else None,
            interval=self.state.interval,
        )
        if batch.complete and not found:
            self.state.state, self.state.message = "error", batch.empty or _EMPTY
        if before != self._shown:
            self._changed()

    def _fail(self, message: str, *, refused: bool = False) -> None:
        before = self._shown
        self.state.state, self.state.message, self.state.refused = "error", message, refused
        self.state.rate, self.state.seconds_left = 0.0, None
        self.state.checked_at = self._ingestion.index.clock.now()
        if before != self._shown:
            self._changed()

    @property
    def _shown(self) -> tuple[object, ...]:
        now = self.state
        return (now.state, now.message, now.pending, now.failed, now.interval)


def _is_urgent(change: Found | Gone) -> bool:
    return isinstance(change, Gone) or change.urgent


def _remark(batch: Batch, passed: int) -> str:
    remarks = [batch.remark] if batch.remark else []
    if passed:
        remarks.append(f"{passed} documents were passed over; the server's log says why.")
    return " ".join(remarks)


async def _first(batches: AsyncGenerator[Batch]) -> Batch | None:
    return await anext(batches, None)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
