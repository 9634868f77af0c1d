"""Where watches are kept: each call is one transaction in somebody's scope."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from ponant.assistant.watches.schemas import Delivery, DeliveryState, Watch, WatchEvent
from ponant.assistant.watches.tables import (
    WatchDeliveryRow,
    WatchEventRow,
    WatchOwnerRow,
    WatchRow,
)
from ponant.kit.errors import NotFound
from ponant.kit.sealing import CannotOpen, Seal
from ponant.store import Database, Scope, in_scope

_KEPT_EVENTS = 500  # of each watch
DELIVERED = frozenset({"changed", "paused", "resumed"})


class WatchStore:
    """Reads and writes watches. It asks the database: call it in a thread."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal

    def owners(self) -> Sequence[Scope]:
        """Everybody who keeps or kept watches."""
        with self._database.read() as session:
            return [
                Scope(row.organisation_id, row.workspace_id, row.person_id)
                for row in session.scalars(select(WatchOwnerRow))
            ]

    def add(self, scope: Scope, watch: Watch, secret: str | None) -> None:
        """Keep a new watch."""
        with self._database.write() as session:
            key = (scope.workspace_id, scope.person_id)
            if session.get(WatchOwnerRow, key) is None:
                session.add(
                    WatchOwnerRow(
                        workspace_id=scope.workspace_id,
                        person_id=scope.person_id,
                        organisation_id=scope.organisation_id,
                    )
                )
            session.add(
                WatchRow(
                    id=watch.id,
                    workspace_id=scope.workspace_id,
                    person_id=scope.person_id,
                    body=msgspec.to_builtins(watch),
                    secret=None if secret is None else self._sealed(watch.id, secret),
                )
            )

    def list(self, scope: Scope) -> Sequence[Watch]:
        """Somebody's watches, the oldest first."""
        with self._database.read() as session:
            statement = select(WatchRow).where(in_scope(WatchRow, scope)).order_by(WatchRow.id)
            return [_watch(row) for row in session.scalars(statement)]

    def get(self, scope: Scope, watch_id: str) -> Watch:
        """One watch; NotFound where it is not in scope."""
        with self._database.read() as session:
            return _watch(_row(session, scope, watch_id))

    def signs(self, scope: Scope, watch_id: str) -> bool:
        """Whether a watch has a secret, be it one that can be opened or not."""
        return self._stored_secret(scope, watch_id) is not None

    def secret(self, scope: Scope, watch_id: str) -> str | None:
        """What a watch's deliveries are signed with.

        Raises:
            CannotOpen: the key that it was sealed with is not there.
        """
        stored = self._stored_secret(scope, watch_id)
        if stored is None:
            return None
        try:
            return self._seal.open(stored, _about(watch_id))
        except CannotOpen as e:
            raise CannotOpen(
                f"What its webhook is signed with cannot be opened. {e} Or give the watch a new "
                "secret."
            ) from e

    def renew_secrets(self, scope: Scope) -> Collection[str]:
        """Seal somebody's secrets that were stored before there were seals, or with another key
        than new ones are.

        Returns:
            The watches whose secret cannot be opened; it stays as it is.
        """
        fresh: dict[str, str] = {}
        closed: set[str] = set()
        for watch_id, stored in self._stored_secrets(scope):
            if self._seal.is_current(stored):
                continue
            try:
                opened = self._seal.open(stored, _about(watch_id))
            except CannotOpen:
                closed.add(watch_id)
            else:
                fresh[watch_id] = self._sealed(watch_id, opened)
        if fresh:
            with self._database.write_over() as session:
                for watch_id, sealed in fresh.items():
                    _update(session, scope, watch_id, secret=sealed)
        return closed

    def _stored_secret(self, scope: Scope, watch_id: str) -> str | None:
        statement = select(WatchRow.secret).where(
            WatchRow.id == watch_id, in_scope(WatchRow, scope)
        )
        with self._database.read() as session:
            return session.scalar(statement)

    def _stored_secrets(self, scope: Scope) -> Sequence[tuple[str, str]]:
        statement = select(WatchRow.id, WatchRow.secret).where(
            in_scope(WatchRow, scope), WatchRow.secret.is_not(None)
        )
        with self._database.read() as session:
            return [(watch_id, secret or "") for watch_id, secret in session.execute(statement)]

    def _sealed(self, watch_id: str, secret: str) -> str:
        return self._seal.seal(secret, _about(watch_id))

    def put(
        self, scope: Scope, watch: Watch, event: WatchEvent | None = None
    ) -> tuple[Watch, WatchEvent | None]:
        """Store how a turn left a watch, and what happened, which a webhook is told of.

        What its owner changed during the turn stays: where that asks for something else, or for
        rest, the turn counts for nothing.

        Returns:
            The watch as it is stored, and the event with its number where it counts.

        Raises:
            NotFound: the watch is not there any more.
        """
        with self._database.write() as session:
            present = _watch(_row(session, scope, watch.id))
            if present.by_owner or present.setup.asks != watch.setup.asks:
                return present, None
            watch = msgspec.structs.replace(watch, setup=present.setup, key_id=present.key_id)
            _update(session, scope, watch.id, body=msgspec.to_builtins(watch))
            if event is None:
                return watch, None
            kept = _event_row(scope, event)
            session.add(kept)
            session.flush()
            if watch.setup.webhook and event.happening in DELIVERED:
                session.add(_delivery_row(scope, event))
            _forget_old(session, scope, watch.id)
            return watch, msgspec.structs.replace(event, number=kept.number)

    def change(
        self, scope: Scope, watch_id: str, how: Callable[[Watch], Watch], secret: str | None = None
    ) -> Watch:
        """Change a watch as its owner wants it, and its secret where one is given.

        Raises:
            NotFound: it is not in scope.
        """
        with self._database.write() as session:
            watch = how(_watch(_row(session, scope, watch_id)))
            kept = {} if secret is None else {"secret": self._sealed(watch_id, secret)}
            _update(session, scope, watch_id, body=msgspec.to_builtins(watch), **kept)
            return watch

    def remove(self, scope: Scope, watch_id: str) -> None:
        """Remove a watch with all that happened to it; NotFound where it is not in scope."""
        with self._database.write() as session:
            _row(session, scope, watch_id)
            for table in (WatchDeliveryRow, WatchEventRow):
                session.execute(
                    delete(table).where(table.watch_id == watch_id, in_scope(table, scope))
                )
            session.execute(
                delete(WatchRow).where(WatchRow.id == watch_id, in_scope(WatchRow, scope))
            )

    def events(
        self,
        scope: Scope,
        *,
        watch_id: str | None = None,
        after: int = 0,
        before: int | None = None,
        limit: int = 100,
        latest: bool = False,
    ) -> Sequence[WatchEvent]:
        """What happened, in its order, or the latest first; of one watch where it is named."""
        statement = select(WatchEventRow).where(
            in_scope(WatchEventRow, scope), WatchEventRow.number > after
        )
        if watch_id is not None:
            statement = statement.where(WatchEventRow.watch_id == watch_id)
        if before is not None:
            statement = statement.where(WatchEventRow.number < before)
        order = WatchEventRow.number.desc() if latest else WatchEventRow.number
        with self._database.read() as session:
            rows = session.scalars(statement.order_by(order).limit(limit))
            return [_event(row) for row in rows]

    def last_number(self, scope: Scope) -> int:
        """The number of the last thing that happened to somebody's watches; 0 for none."""
        statement = select(func.max(WatchEventRow.number)).where(in_scope(WatchEventRow, scope))
        with self._database.read() as session:
            return session.scalar(statement) or 0

    def event(self, scope: Scope, event_id: str) -> WatchEvent | None:
        with self._database.read() as session:
            row = session.scalar(
                select(WatchEventRow).where(
                    WatchEventRow.id == event_id, in_scope(WatchEventRow, scope)
                )
            )
            return None if row is None else _event(row)

    def due(self, scope: Scope) -> Sequence[Delivery]:
        """Somebody's deliveries that wait, the longest waiting first."""
        with self._database.read() as session:
            statement = (
                select(WatchDeliveryRow)
                .where(in_scope(WatchDeliveryRow, scope), WatchDeliveryRow.state == "due")
                .order_by(WatchDeliveryRow.next_at)
            )
            return [_delivery(row) for row in session.scalars(statement)]

    def deliveries(self, scope: Scope, watch_id: str) -> Sequence[Delivery]:
        """A watch's deliveries, the latest first."""
        with self._database.read() as session:
            statement = (
                select(WatchDeliveryRow)
                .where(in_scope(WatchDeliveryRow, scope), WatchDeliveryRow.watch_id == watch_id)
                .order_by(WatchDeliveryRow.event_id.desc())
            )
            return [_delivery(row) for row in session.scalars(statement)]

    def note(self, scope: Scope, delivery: Delivery) -> None:
        """Store how a delivery went."""
        with self._database.write() as session:
            session.execute(
                update(WatchDeliveryRow)
                .where(
                    WatchDeliveryRow.event_id == delivery.event_id,
                    in_scope(WatchDeliveryRow, scope),
                )
                .values(
                    attempts=delivery.attempts,
                    next_at=delivery.next_at,
                    state=delivery.state,
                    error=delivery.error,
                )
            )


def _about(watch_id: str) -> str:
    return f"{watch_id}:webhook"


def _row(session: Session, scope: Scope, watch_id: str) -> WatchRow:
    statement = select(WatchRow).where(WatchRow.id == watch_id, in_scope(WatchRow, scope))
    if (row := session.scalar(statement)) is None:
        raise _not_found(watch_id)
    return row


def _not_found(watch_id: str) -> NotFound:
    return NotFound(f"There is no watch {watch_id}, or it is not yours.")


def _update(session: Session, scope: Scope, watch_id: str, **values: Any) -> None:
    changed = session.scalars(
        update(WatchRow)
        .where(WatchRow.id == watch_id, in_scope(WatchRow, scope))
        .values(**values)
        .returning(WatchRow.id)
    )
    if not changed.all():
        raise _not_found(watch_id)


def _watch(row: WatchRow) -> Watch:
    return msgspec.convert(row.body, Watch)


def _event_row(scope: Scope, event: WatchEvent) -> WatchEventRow:
    return WatchEventRow(
        id=event.id,
        watch_id=event.watch_id,
        workspace_id=scope.workspace_id,
        person_id=scope.person_id,
        body=msgspec.to_builtins(event),
        at=event.at,
    )


def _event(row: WatchEventRow) -> WatchEvent:
    return msgspec.structs.replace(msgspec.convert(row.body, WatchEvent), number=row.number)


def _delivery_row(scope: Scope, event: WatchEvent) -> WatchDeliveryRow:
    return WatchDeliveryRow(
        event_id=event.id,
        watch_id=event.watch_id,
        workspace_id=scope.workspace_id,
        person_id=scope.person_id,
        attempts=0,
        next_at=event.at,
        state="due",
        error="",
    )


def _delivery(row: WatchDeliveryRow) -> Delivery:
    return Delivery(
        event_id=row.event_id,
        watch_id=row.watch_id,
        attempts=row.attempts,
        next_at=row.next_at,
        state=msgspec.convert(row.state, DeliveryState),
        error=row.error,
    )


def _forget_old(session: Session, scope: Scope, watch_id: str) -> None:
    """Keep the last events of a watch."""
    last = session.scalar(
        select(WatchEventRow.number)
        .where(in_scope(WatchEventRow, scope), WatchEventRow.watch_id == watch_id)
        .order_by(WatchEventRow.number.desc())
        .offset(_KEPT_EVENTS)
        .limit(1)
    )
    if last is not None:
        session.execute(
            delete(WatchEventRow).where(
                in_scope(WatchEventRow, scope),
                WatchEventRow.watch_id == watch_id,
                WatchEventRow.number <= last,
            )
        )
