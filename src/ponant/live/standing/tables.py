"""The tables of standing queries in live.db."""

from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from ponant.store import Base, ScopeKind


class StandingRow(Base):
    """A search that is kept, with whose eyes it reads and what it admitted.

    ``evidence`` names the passages that whoever registered it has seen; ``moved`` says that a
    search would now admit others. ``state`` is a `State` as MessagePack.
    """

    __tablename__ = "live_standing"
    __scope__ = ScopeKind.WORKSPACE

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    organisation_id: Mapped[str | None]
    person_id: Mapped[str | None]
    marks: Mapped[list[str]] = mapped_column(JSON)
    library_ids: Mapped[list[str]] = mapped_column(JSON)
    query: Mapped[str]
    limit: Mapped[int]
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    evidence: Mapped[list[str]] = mapped_column(JSON)
    moved: Mapped[bool]
    state: Mapped[bytes | None]


class MatchedRow(Base):
    """Up to which version of a library its standing queries were matched."""

    __tablename__ = "live_standing_matched"
    __scope__ = ScopeKind.WORKSPACE

    library_id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    version: Mapped[int]
