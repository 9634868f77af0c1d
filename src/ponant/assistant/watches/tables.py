"""The tables of watches; each row belongs to the person who keeps the watch."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index
from sqlalchemy.orm import Mapped, mapped_column

from ponant.store import Base, ScopeKind, UtcDateTime


class WatchOwnerRow(Base):
    """Who keeps watches: what the server needs to take them up again when it starts."""

    __tablename__ = "watch_owners"
    __scope__ = ScopeKind.PLATFORM

    workspace_id: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(primary_key=True)
    organisation_id: Mapped[str]


class WatchRow(Base):
    """A watch; ``body`` is a `Watch` without its secret."""

    __tablename__ = "watches"
    __scope__ = ScopeKind.PERSON
    __table_args__ = (Index(None, "workspace_id", "person_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    person_id: Mapped[str]
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    secret: Mapped[str | None] = mapped_column(deferred=True)


class WatchEventRow(Base):
    __tablename__ = "watch_events"
    __scope__ = ScopeKind.PERSON
    __table_args__ = (Index(None, "workspace_id", "person_id", "number"),)

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    watch_id: Mapped[str] = mapped_column(index=True)
    workspace_id: Mapped[str]
    person_id: Mapped[str]
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class WatchDeliveryRow(Base):
    __tablename__ = "watch_deliveries"
    __scope__ = ScopeKind.PERSON

    event_id: Mapped[str] = mapped_column(primary_key=True)
    watch_id: Mapped[str] = mapped_column(index=True)
    workspace_id: Mapped[str]
    person_id: Mapped[str]
    attempts: Mapped[int]
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str]
    error: Mapped[str]
