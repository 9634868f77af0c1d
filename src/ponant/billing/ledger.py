"""The append-only record of what was used: one writer that commits in groups.

One thread takes all events that came while the last group was being written and commits them
together. What was acknowledged outlives this process however it ends; the disk is waited for a
tenth of a second later (waiting takes 4 ms on a common disk, longer than all else that a request
costs here, and a hundred times that on a busy one), so a loss of power takes that much with it. A
second thread does the waiting, so that no answer does.

Where nobody else writes and the disk is not waited for, the event loop writes an event by itself:
that takes a tenth of a millisecond, and a thread's waking several times as much.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime
from queue import Empty, SimpleQueue

import structlog
from sqlalchemy.exc import IntegrityError

from ponant.accounts import Principal, Role
from ponant.billing import repository
from ponant.billing.budgets import Budgets
from ponant.billing.schemas import GroupBy, UsageEvent, UsageSum
from ponant.kit import Clock
from ponant.kit.errors import Conflict, Unavailable
from ponant.store import Appender, Database

_LARGEST_GROUP = 500
_SETTLE_SECONDS = 0.1
_SLOW = 0.005  # seconds; who takes so long to write leaves it to the thread for a while
_A_WHILE = 1.0

log = structlog.get_logger()

_Entry = tuple[UsageEvent, str | None, "Future[None]"]


class Ledger:
    """Records usage and sums it up.

    Attributes:
        budgets: what may be used.
        tokens: what was used since the start, by model and kind.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.clock = clock
        self.budgets = Budgets(database, clock)
        self.tokens: Counter[tuple[str, str]] = Counter()
        self._database = database
        self._appender = Appender(database, repository.TABLE)
        self._queue: SimpleQueue[_Entry | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: tuple[threading.Thread, threading.Thread] | None = None
        self._unsettled = threading.Event()
        self._ended = threading.Event()
        self._at_disk = False  # the disk is being waited for
        self._leave_until = 0.0
        self._closed = False

    def record(self, event: UsageEvent, reservation: str | None = None) -> None:
        """Write an event; it outlives this process once this returns. The same again is nothing.

        Args:
            reservation: what was held of budgets for it, which ends with this.

        Raises:
            Conflict: another event has that id.
            StorageFull: the disk is full.
            Unavailable: the ledger is closed.
        """
        self._submit(event, reservation).result()

    async def record_async(self, event: UsageEvent, reservation: str | None = None) -> None:
        """As `record`. An event that was handed over is written even if the caller is cancelled."""
        await asyncio.wrap_future(self._submit(event, reservation))

    def record_at_once(self, event: UsageEvent) -> bool:
        """Write an event here and now where that is sure to be short; whether it was written.

        Only the event loop's thread may call it, for an event that nothing was reserved for. What
        is not written, for whatever reason, is to be given to `record_async`.
        """
        began = time.monotonic()
        if self._at_disk or began < self._leave_until:
            return False
        with self._lock:
            if self._closed:
                return False
            [row] = repository.rows([event], self.clock.now())
            written = self._appender.add_at_once(row, when=self.budgets.are_none)
            if written and self._threads is None:
                self._threads = self._started()
        took = time.monotonic() - began
        if took > _SLOW:
            self._leave_until = began + took + _A_WHILE
        if written:
            self._count([event])
            self._unsettled.set()
        return written

    def summary(
        self, caller: Principal, since: datetime, until: datetime, by: GroupBy = GroupBy.DAY
    ) -> list[UsageSum]:
        """Sums over [since, until): an administrator sees the workspace, others themselves."""
        person = None if caller.role.covers(Role.ADMIN) else caller.person_id
        with self._database.read() as session:
            return repository.summary(session, caller.scope, since, until, by, person)

    def close(self) -> None:
        """Write what is waiting, wait for the disk and end the threads."""
        with self._lock:
            self._closed = True
            threads, self._threads = self._threads, None
        if threads is not None:
            self._queue.put(None)
            for thread in threads:
                thread.join()
        self._appender.close()

    def _submit(self, event: UsageEvent, reservation: str | None) -> "Future[None]":
        done: Future[None] = Future()
        # From here on a cancelled caller cannot take the event back.
        done.set_running_or_notify_cancel()
        with self._lock:
            if self._closed:
                raise Unavailable("Ponant is shutting down. Try again in a moment.", retry_after=5)
            if self._threads is None:
                self._threads = self._started()
            self._queue.put((event, reservation, done))
        return done

    def _started(self) -> tuple[threading.Thread, threading.Thread]:
        writer = threading.Thread(target=self._write, name="ledger", daemon=True)
        settler = threading.Thread(target=self._settle, name="ledger-disk", daemon=True)
        writer.start()
        settler.start()
        return writer, settler

    def _write(self) -> None:
        last = False
        while not last:
            first = self._queue.get()
            if first is None:
                break
            group, last = self._gather(first)
            self._commit(group)
            self._unsettled.set()
        self._ended.set()
        self._unsettled.set()

    def _settle(self) -> None:
        """Wait for the disk after what was written, and once more at the end."""
        ended = False
        while not ended:
            self._unsettled.wait()
            self._unsettled.clear()
            ended = self._ended.wait(_SETTLE_SECONDS)
            self._at_disk = True
            try:
                self._database.settle()
            except OSError:
                log.exception("the disk does not take the ledger")
            finally:
                self._at_disk = False

    def _gather(self, first: _Entry) -> tuple[list[_Entry], bool]:
        """What waits behind ``first``, and whether the end was among it."""
        group = [first]
        with suppress(Empty):
            while len(group) < _LARGEST_GROUP:
                entry = self._queue.get_nowait()
                if entry is None:
                    return group, True
                group.append(entry)
        return group, False

    def _commit(self, group: Sequence[_Entry]) -> None:
        try:
            refused = self._store(group)
        except Exception as e:  # noqa: BLE001 - it belongs to whoever waits for the event
            if len(group) == 1:
                group[0][-1].set_exception(e)
                return
            # One event that cannot be stored must not fail the others.
            for entry in group:
                self._commit([entry])
            return
        for index, (event, _, done) in enumerate(group):
            if index in refused:
                done.set_exception(
                    Conflict(f"The usage event {event.event_id} exists with other content.")
                )
            else:
                done.set_result(None)

    def _store(self, group: Sequence[_Entry]) -> set[int]:
        """Write what is new; returns the places of events that contradict one on record."""
        events = [event for event, _, _ in group]
        held = [(event.workspace_id, name) for event, name, _ in group if name is not None]
        try:  # ids are made afresh, so nearly always all of them are new
            if held or not self._appender.add(
                repository.rows(events, self.clock.now()), when=self.budgets.are_none
            ):
                with self._database.write(soon=True) as session:
                    repository.add(session, events, self.clock.now())
                    self.budgets.settle(session, events, held)
        except IntegrityError:
            return self._store_apart(events, held)
        self._count(events)
        return set()

    def _store_apart(
        self, events: Sequence[UsageEvent], held: Sequence[tuple[str, str]]
    ) -> set[int]:
        """As `_store`, where some events may be on record or come twice."""
        refused: set[int] = set()
        with self._database.write(soon=True) as session:
            known: dict[tuple[str, str], UsageEvent] = {}
            for workspace_id in {event.workspace_id for event in events}:
                ids = [event.event_id for event in events if event.workspace_id == workspace_id]
                for event_id, event in repository.known(session, workspace_id, ids).items():
                    known[workspace_id, event_id] = event
            fresh: list[UsageEvent] = []
            for index, event in enumerate(events):
                name = event.workspace_id, event.event_id
                if name not in known:
                    known[name] = event
                    fresh.append(event)
                elif known[name] != event:
                    refused.add(index)
            if fresh:
                repository.add(session, fresh, self.clock.now())
            self.budgets.settle(session, fresh, held)
        self._count(fresh)
        return refused

    def _count(self, events: Sequence[UsageEvent]) -> None:
        with self._lock:
            for event in events:
                self.tokens[event.model, "prompt"] += event.prompt_tokens
                self.tokens[event.model, "cached"] += event.cached_tokens
                self.tokens[event.model, "completion"] += event.completion_tokens
