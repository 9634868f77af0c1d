"""The append-only record of what was used: one writer that commits in groups.

A commit waits for the disk, and so many writers would wait for each other. One thread takes all
events that came while the last group was on its way to disk and commits them together.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime
from queue import Empty, SimpleQueue

from ponant.accounts import Principal, Role
from ponant.billing import repository
from ponant.billing.schemas import GroupBy, UsageEvent, UsageSum
from ponant.kit import Clock
from ponant.kit.errors import Conflict, Unavailable
from ponant.store import Database

_LARGEST_GROUP = 500

_Entry = tuple[UsageEvent, "Future[None]"]


class Ledger:
    """Records usage and sums it up."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.clock = clock
        self.tokens: Counter[tuple[str, str]] = Counter()  # by model and kind, since the start
        self._database = database
        self._queue: SimpleQueue[_Entry | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._writer: threading.Thread | None = None
        self._closed = False

    def record(self, event: UsageEvent) -> None:
        """Write an event; it is on disk once this returns. The same event again changes nothing.

        Raises:
            Conflict: another event has that id.
            StorageFull: the disk is full.
            Unavailable: the ledger is closed.
        """
        self._submit(event).result()

    async def record_async(self, event: UsageEvent) -> None:
        """As `record`. An event that was handed over is written even if the caller is cancelled."""
        await asyncio.wrap_future(self._submit(event))

    def summary(
        self, caller: Principal, since: datetime, until: datetime, by: GroupBy = GroupBy.DAY
    ) -> list[UsageSum]:
        """Sums over [since, until): an administrator sees the workspace, others themselves."""
        person = None if caller.role.covers(Role.ADMIN) else caller.person_id
        with self._database.read() as session:
            return repository.summary(session, caller.scope, since, until, by, person)

    def close(self) -> None:
        """Write what is waiting and end the writer."""
        with self._lock:
            self._closed = True
            writer, self._writer = self._writer, None
        if writer is not None:
            self._queue.put(None)
            writer.join()

    def _submit(self, event: UsageEvent) -> "Future[None]":
        done: Future[None] = Future()
        # From here on a cancelled caller cannot take the event back.
        done.set_running_or_notify_cancel()
        with self._lock:
            if self._closed:
                raise Unavailable("Ponant is shutting down. Try again in a moment.", retry_after=5)
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="ledger", daemon=True)
                self._writer.start()
            self._queue.put((event, done))
        return done

    def _write(self) -> None:
        while (first := self._queue.get()) is not None:
            group, last = self._gather(first)
            self._commit(group)
            if last:
                return

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
            refused = self._store([event for event, _ in group])
        except Exception as e:  # noqa: BLE001 - it belongs to whoever waits for the event
            if len(group) == 1:
                group[0][1].set_exception(e)
                return
            # One event that cannot be stored must not fail the others.
            for entry in group:
                self._commit([entry])
            return
        for index, (event, done) in enumerate(group):
            if index in refused:
                done.set_exception(
                    Conflict(f"The usage event {event.event_id} exists with other content.")
                )
            else:
                done.set_result(None)

    def _store(self, events: Sequence[UsageEvent]) -> set[int]:
        """Write what is new; returns the places of events that contradict one on record."""
        refused: set[int] = set()
        with self._database.write() as session:
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
        self._count(fresh)
        return refused

    def _count(self, events: Sequence[UsageEvent]) -> None:
        for event in events:
            self.tokens[event.model, "prompt"] += event.prompt_tokens
            self.tokens[event.model, "cached"] += event.cached_tokens
            self.tokens[event.model, "completion"] += event.completion_tokens
