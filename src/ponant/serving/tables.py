"""The table of other servers whose models stand beside ours."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ponant.store import Base, ScopeKind, UtcDateTime


class UpstreamRow(Base):
    """One OpenAI-compatible endpoint of an organisation.

    ``key_env`` names the environment variable that holds its API key: the key itself is stored
    nowhere.
    """

    __tablename__ = "upstreams"
    __scope__: ClassVar[ScopeKind] = ScopeKind.ORGANISATION
    __table_args__ = (UniqueConstraint("organisation_id", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    organisation_id: Mapped[str]
    name: Mapped[str]
    url: Mapped[str]
    key_env: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
