"""The tables of accounts.

Look-ups that come before the caller is known (by the hash of a key, a sign-in token or a cookie)
have platform tables of their own, which say no more than whose the credential is.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ponant.store import Base, ScopeKind, UtcDateTime

_KNOWN_ROLE = "role IN ('admin', 'member', 'viewer')"


class OrganisationRow(Base):
    __tablename__ = "organisations"
    __scope__ = ScopeKind.ORGANISATION

    organisation_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class WorkspaceRow(Base):
    __tablename__ = "workspaces"
    __scope__ = ScopeKind.ORGANISATION

    id: Mapped[str] = mapped_column(primary_key=True)
    organisation_id: Mapped[str] = mapped_column(
        ForeignKey("organisations.organisation_id"), index=True
    )
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PersonRow(Base):
    __tablename__ = "people"
    __scope__ = ScopeKind.ORGANISATION

    id: Mapped[str] = mapped_column(primary_key=True)
    organisation_id: Mapped[str] = mapped_column(
        ForeignKey("organisations.organisation_id"), index=True
    )
    name: Mapped[str]
    email: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class MembershipRow(Base):
    __tablename__ = "memberships"
    __scope__ = ScopeKind.WORKSPACE
    __table_args__ = (CheckConstraint(_KNOWN_ROLE),)

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"), primary_key=True)
    role: Mapped[str]


class GroupRow(Base):
    """People whom access lists name together, as ``group:<name>``."""

    __tablename__ = "groups"
    __scope__ = ScopeKind.ORGANISATION
    __table_args__ = (UniqueConstraint("organisation_id", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.organisation_id"))
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class GroupMemberRow(Base):
    __tablename__ = "group_members"
    __scope__ = ScopeKind.ORGANISATION

    organisation_id: Mapped[str]
    group_id: Mapped[str] = mapped_column(ForeignKey("groups.id"), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"), primary_key=True, index=True)


class ShareRow(Base):
    """Somebody who may change a library: a person, or everybody in the workspace."""

    __tablename__ = "library_shares"
    __scope__ = ScopeKind.WORKSPACE

    workspace_id: Mapped[str]
    library_id: Mapped[str] = mapped_column(primary_key=True)
    entity_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]


class AuditRow(Base):
    """Who changed what somebody may do or read."""

    __tablename__ = "audit_log"
    __scope__ = ScopeKind.ORGANISATION

    id: Mapped[str] = mapped_column(primary_key=True)
    organisation_id: Mapped[str] = mapped_column(index=True)
    workspace_id: Mapped[str]
    person_id: Mapped[str]
    action: Mapped[str]
    target: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class ApiKeyRow(Base):
    __tablename__ = "api_keys"
    __scope__ = ScopeKind.WORKSPACE
    __table_args__ = (CheckConstraint(_KNOWN_ROLE),)

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), index=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"))
    name: Mapped[str]
    role: Mapped[str]
    hint: Mapped[str]
    from_setting: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class KeyLookupRow(Base):
    __tablename__ = "key_lookups"
    __scope__ = ScopeKind.PLATFORM

    key_hash: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"))
    organisation_id: Mapped[str]
    workspace_id: Mapped[str]


class SignInTokenRow(Base):
    __tablename__ = "sign_in_tokens"
    __scope__ = ScopeKind.PLATFORM

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    organisation_id: Mapped[str]
    workspace_id: Mapped[str]
    person_id: Mapped[str]
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SessionRow(Base):
    __tablename__ = "sessions"
    __scope__ = ScopeKind.PLATFORM

    cookie_hash: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    organisation_id: Mapped[str]
    workspace_id: Mapped[str]
    person_id: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class InstallationRow(Base):
    """The one row that names what the first start made, and the first administrator."""

    __tablename__ = "installation"
    __scope__ = ScopeKind.PLATFORM

    id: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[str]
    workspace_id: Mapped[str]
    person_id: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
