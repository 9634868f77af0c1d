"""The ledger's one table. Rows are added, never changed."""

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
