"""Keeps a library in step with one source, whatever its kind.

A batch is taken in one document after the other, each in a transaction that also stores where the
source goes on, and the next batch is asked for only then: that is all the back-pressure there is.
A source that fails is shown with its reason and asked again, with growing pauses; what it held
when last read answers meanwhile.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import structlog
from sqlalchemy.exc import SQLAlchemyError

from ponant.kit.errors import NotFound, PonantError
from ponant.live import faults, repository
from ponant.live.indexing.ingestion import Home, Ingestion, Known
from ponant.live.reading.parsing import UnreadableDocument
from ponant.live.sources.port import (
    About,
    Batch,
    Content,
    Cursor,
    DocumentSource,
    Found,
    Gone,
    SourceFault,
)
from ponant.live.sources.state import PushOutcome, PushState, SourceState

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0
_GLANCE_SECONDS = 0.2  # a long batch asks this often whether a newer one is worth more
_HURRY = 4  # with more documents waiting, keywords come first and vectors later
_NOTE_SECONDS = 0.1
_MOST_DELETED = 10_000  # deletions of pushed documents whose versions are remembered
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
        self._cursor: Cursor | None = None
        self._known: dict[str, Known] = {}
        self._states: Counter[str] = Counter()
        self._passed: dict[str, str] = {}  # signatures of documents that we failed on
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
        await self._ingestion.aside(self._load)
        self._loaded.set()
        while True:
            self._again.clear()
            retry_after = await self._follow_until_fault()
            pause = self._pause if retry_after is None else retry_after
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            await _wait(self._again, pause)

    def retry(self) -> int:
        """Read again what could not be read; returns how many documents that are."""
        failed = [one for one in self._known.values() if one.state == "failed"]
        for known in failed:
            self._put(replace(known, signature=""))
        count = len(failed) + len(self._passed)
        self._passed.clear()
        self._pause = _FIRST_PAUSE
        self._again.set()
        return count

    async def take_now(self, changes: Sequence[Found | Gone]) -> list[PushOutcome]:
        """Take pushed changes in; each is stored when this returns."""
        await self._loaded.wait()
        async with self._alone:
            outcomes = [
                await self._take_pushed(one, hurry=len(changes) - number > _HURRY)
                for number, one in enumerate(changes)
            ]
            self._note(Batch(changes=(), complete=False), 0)
        return outcomes

    async def _take_pushed(self, change: Found | Gone, *, hurry: bool) -> PushOutcome:
        known = self._known.get(change.key)
        number, there = change.source_version, known.document_id if known else None
        last = known.source_version if known else self._deleted.get(change.key)
        if number is not None and last is not None and number <= last:
            if isinstance(change, Found) and known is not None and number == last:
                if known.state == "indexed":
                    return _said(change.key, "unchanged", there)
            elif isinstance(change, Found) or number < last:
                return _said(change.key, "older", there)
        if isinstance(change, Gone):
            await self._take_change(self._remembering(change), hurry=False)
            return _said(change.key, "missing" if known is None else "deleted", there)
        await self._take_change(change, hurry=hurry)
        return self._outcome(change, known)

    def _outcome(self, change: Found, before: Known | None) -> PushOutcome:
        now = self._known.get(change.key)
        if now is None or change.key in self._passed:
            return _said(change.key, "failed", message="It failed; the server's log says why.")
        if now.state == "failed":
            return _said(
                change.key,
                "failed",
                now.document_id,
                "It cannot be read; its message in the library says why.",
            )
        return _said(change.key, "unchanged" if now == before else "stored", now.document_id)

    @property
    def _deleted(self) -> dict[str, int]:
        found: dict[str, int] = (self._cursor or {}).get("deleted", {})
        return found

    def _remembering(self, change: Gone) -> Gone:
        """A deletion that is remembered, so that an older version that comes late is nothing."""
        if change.source_version is None:
            return change
        kept = {**self._deleted, change.key: change.source_version}
        while len(kept) > _MOST_DELETED:
            del kept[next(iter(kept))]
        return replace(change, cursor={**(self._cursor or {}), "deleted": kept})

    async def _follow_until_fault(self) -> float | None:
        """Take in what the source tells; returns the pause that it asks for when it cannot."""
        try:
            source = await self._open()
            self.state.interval = source.interval
            await self._take_batches(source)
        except SourceFault as e:
            self._fail(e.message)
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
        async with aclosing(source.batches(self._cursor)) as batches:
            while (batch := await self._next(batches)) is not None:
                async with self._alone:
                    await self._apply(batch)
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
        changes = await self._without_moves(batch)
        await self._forget(batch)
        work = [one for one in changes if isinstance(one, Gone) or self._is_new(one)]
        if batch.complete:
            work = [one for one in work if isinstance(one, Found)]
            work.sort(key=lambda one: not _is_urgent(one))
        self._run = _Run(time.monotonic())
        self._note(batch, len(work))
        last = time.monotonic()
        for number, change in enumerate(work):
            if batch.stale is not None and time.monotonic() - last > _GLANCE_SECONDS:
                if batch.stale():
                    return
                last = time.monotonic()
            left = len(work) - number - 1
            first = number < _HURRY and _is_urgent(change)
            await self._take_change(change, hurry=left >= _HURRY and not first)
            self._run.done += 1
            if left and time.monotonic() - self._noted > _NOTE_SECONDS:
                self._note(batch, left)
        await self._store_cursor(batch)
        self._note(batch, 0)

    def _is_new(self, found: Found) -> bool:
        if self._passed.get(found.key, "") == found.signature != "":
            return False
        known = self._known.get(found.key)
        if known is None or not found.signature or found.urgent:
            return True
        return known.signature != found.signature

    async def _without_moves(self, batch: Batch) -> Sequence[Found | Gone]:
        """The changes but for documents that only moved, which are noted at their new place."""
        if batch.identity is None or not self._known:
            return batch.changes
        found = {one.key: one for one in batch.changes if isinstance(one, Found)}
        gone = _gone_keys(batch, found, self._known)
        if not gone:
            return batch.changes
        places = {batch.identity(self._known[key].signature): key for key in gone}
        moved: set[str] = set()
        for one in found.values():
            key = places.get(batch.identity(one.signature)) if one.signature else None
            if key is not None and one.key not in self._known and key in self._known:
                await self._move(self._known[key], one)
                moved.add(key)
        return [one for one in batch.changes if not (isinstance(one, Gone) and one.key in moved)]

    async def _move(self, known: Known, found: Found) -> None:
        """Follow a document to its new place; it is read again there, in case it is another."""
        home = self._home
        change = await self._ingestion.write(
            self._ingestion.index.move_document,
            home.scope,
            home.library_id,
            known.document_id,
            found.key,
            found.name,
            "",
        )
        self._drop(known.path)
        self._put(replace(known, path=found.key, signature=""))
        self._ingestion.publish(home.scope, change)

    async def _forget(self, batch: Batch) -> None:
        """Delete what a complete look no longer shows."""
        if batch.complete:
            found = {one.key for one in batch.changes if isinstance(one, Found)}
            await self._delete([key for key in self._known if key not in found])
            self._passed = {key: sign for key, sign in self._passed.items() if key in found}

    async def _delete(self, keys: Sequence[str], cursor: Cursor | None = None) -> None:
        ids = [self._known[key].document_id for key in keys if key in self._known]
        if not ids:
            await self._keep(cursor)
            return
        faults.point("deleting")
        home = self._home
        change = await self._ingestion.write(
            self._ingestion.index.delete_documents,
            home.scope,
            home.library_id,
            ids,
            source_id=home.source_id,
            cursor=cursor,
        )
        for key in keys:
            self._drop(key)
        self._cursor = cursor or self._cursor
        self._ingestion.publish(home.scope, change)

    async def _take_change(self, change: Found | Gone, *, hurry: bool) -> None:
        """Take a change in; a fault of ours in one must not keep the others out."""
        if isinstance(change, Gone):
            self._passed.pop(change.key, None)
            await self._delete([change.key], change.cursor)
            return
        try:
            await self._take(change, hurry=hurry)
        except (OSError, PonantError, SQLAlchemyError, SourceFault):
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the next document is another
            _log.exception(
                "A document was passed over.", source=self._home.source_id, key=change.key
            )
            self._passed[change.key] = change.signature

    async def _take(self, found: Found, *, hurry: bool) -> None:
        known = self._known.get(found.key)
        try:
            content = await found.read()
        except FileNotFoundError:
            return  # the next look finds it missing
        except UnreadableDocument as e:
            content = Content(b"", "", found.signature)
            await self._store_failure(found, known, content, str(e))
            return
        faults.point("read")
        self._passed.pop(found.key, None)
        if _says_more(found, known, content):
            taken = await self._ingestion.take(
                self._home,
                known,
                found.key,
                found.name,
                content,
                about=found.about,
                cursor=found.cursor,
                hurry=hurry,
            )
            self._put(replace(taken, source_version=found.source_version, about=found.about))
            self._cursor = found.cursor or self._cursor
        elif known is not None and known.signature != content.signature:
            await self._touch(known, content)

    async def _store_failure(
        self, found: Found, known: Known | None, content: Content, reason: str
    ) -> None:
        failed = await self._ingestion.fail(
            self._home,
            known,
            found.key,
            found.name,
            content,
            reason,
            about=found.about,
            cursor=found.cursor,
        )
        self._put(replace(failed, source_version=found.source_version))
        self._cursor = found.cursor or self._cursor

    async def _touch(self, known: Known, content: Content) -> None:
        """Remember that a document was written without becoming another."""
        await self._ingestion.write(
            self._ingestion.index.set_document,
            self._home.scope,
            known.document_id,
            signature=content.signature,
        )
        self._put(replace(known, signature=content.signature))

    async def _store_cursor(self, batch: Batch) -> None:
        """Note where the source goes on, where the last change did not do so."""
        last = next((one.cursor for one in reversed(batch.changes) if one.cursor), None)
        await self._keep(batch.cursor or last)

    async def _keep(self, cursor: Cursor | None) -> None:
        if cursor is not None and cursor != self._cursor and self._home.source_id is not None:
            await self._ingestion.write(
                self._ingestion.index.set_cursor, self._home.scope, self._home.source_id, cursor
            )
            self._cursor = cursor

    def _load(self) -> None:
        home = self._home
        with self._ingestion.index.database.read() as session:
            rows = repository.documents(session, home.scope, home.library_id, home.source_id)
            for source in repository.sources(session, home.scope, home.library_id):
                if source.id == home.source_id:
                    self._cursor = source.cursor
        for row in rows:
            known = Known(
                row.id,
                row.path,
                row.signature,
                row.content_hash,
                row.state,
                row.source_version,
                About(url=row.url, metadata=row.attributes),
            )
            self._put(known)

    def _put(self, known: Known) -> None:
        self._drop(known.path)
        self._known[known.path] = known
        self._states[known.state] += 1

    def _drop(self, key: str) -> None:
        known = self._known.pop(key, None)
        if known is not None:
            self._states[known.state] -= 1

    def _note(self, batch: Batch, pending: int) -> None:
        before = self._shown
        self._noted = time.monotonic()
        pending += batch.waiting
        found = sum(isinstance(one, Found) for one in batch.changes)
        known = len(self._known)
        rate = self._run.rate if pending else 0.0
        self.state = SourceState(
            state="syncing" if pending else "in_step",
            message=_remark(batch, len(self._passed)),
            seen=batch.seen if batch.seen is not None else found if batch.complete else known,
            indexed=self._states["indexed"],
            failed=self._states["failed"] + len(self._passed),
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

    def _fail(self, message: str) -> None:
        before = self._shown
        self.state.state, self.state.message = "error", message
        self.state.rate, self.state.seconds_left = 0.0, None
        self.state.checked_at = self._ingestion.index.clock.now()
        if before != self._shown:
            self._changed()

    @property
    def _shown(self) -> tuple[object, ...]:
        now = self.state
        return (now.state, now.message, now.pending, now.failed, now.interval)


def _said(
    key: str, state: PushState, document_id: str | None = None, message: str = ""
) -> PushOutcome:
    return PushOutcome(key=key, state=state, document_id=document_id, message=message)


def _is_urgent(change: Found | Gone) -> bool:
    return isinstance(change, Gone) or change.urgent


def _gone_keys(
    batch: Batch, found: Mapping[str, Found], known: Mapping[str, Known]
) -> Sequence[str]:
    if batch.complete:
        return [key for key in known if key not in found]
    gone = (one.key for one in batch.changes if isinstance(one, Gone))
    return [key for key in gone if key in known and key not in found]


def _says_more(found: Found, known: Known | None, content: Content) -> bool:
    """Whether a document that was read says something else than what is stored."""
    if known is None or known.content_hash != content.hash or known.state != "indexed":
        return True
    if known.source_version != found.source_version:
        return True
    return known.signature != content.signature and not _is_said(found.about, known.about)


def _is_said(about: About, stored: About | None) -> bool:
    """Whether what a source says of a document besides its content is stored."""
    if stored is None or (about.access is not None and stored.access is None):
        return about == About()
    same = (about.url, dict(about.metadata)) == (stored.url, dict(stored.metadata))
    return same and about.access == stored.access


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
