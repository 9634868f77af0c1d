"""The ledger, whose rows are added and never changed, and the budgets that are counted from it."""

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from ponant.store import Base, ScopeKind, UtcDateTime


class UsageRow(Base):
    __tablename__ = "usage"
    __scope__ = ScopeKind.WORKSPACE
    __table_args__ = (Index("ix_usage_workspace_id_occurred_at", "workspace_id", "occurred_at"),)

    workspace_id: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str]
    key_id: Mapped[str | None]
    model: Mapped[str]
    prompt_tokens: Mapped[int]
    cached_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    reasoning_tokens: Mapped[int]
    aborted: Mapped[bool]
    estimated: Mapped[bool]
    latency_ms: Mapped[int]
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)


class BudgetRow(Base):
    """Tokens that a workspace, or a person in it, may use in a month.

    Every server process keeps in mind whose budgets there are, before it knows who will ask.
    """

    __tablename__ = "budgets"
    __scope__ = ScopeKind.PLATFORM

    workspace_id: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(primary_key=True)  # empty: the whole workspace
    tokens: Mapped[int]


class CounterRow(Base):
    """Tokens on the ledger and reserved, of one month, for whom there is a budget.

    Made of the ledger when it is first asked for, and moved along with it from then on.
    """

    __tablename__ = "budget_counters"
    __scope__ = ScopeKind.WORKSPACE

    workspace_id: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(primary_key=True)
    month: Mapped[str] = mapped_column(primary_key=True)  # such as 2026-11
    tokens: Mapped[int]


class ReservationRow(Base):
    """Tokens that a request under way may yet use."""

    __tablename__ = "budget_reservations"
    __scope__ = ScopeKind.WORKSPACE

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(index=True)
    person_id: Mapped[str]
    month: Mapped[str]
    tokens: Mapped[int]
    until: Mapped[datetime] = mapped_column(UtcDateTime)
