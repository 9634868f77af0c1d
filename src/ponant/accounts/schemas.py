"""What `Accounts` answers with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ponant.accounts.principal import Principal, Role


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What the first start made.

    Attributes:
        key: the administrator's key, shown this once; None where PONANT_ADMIN_KEY names it.
    """

    administrator: Principal
    key: str | None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it may be shown: everything but the key.

    Attributes:
        hint: the key's last characters; empty for a key that an operator chose.
        last_used_at: right to the hour.
    """

    id: str
    name: str
    role: Role
    person_id: str
    hint: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made, with its plain text, which is stored nowhere."""

    key: str
    info: ApiKey


@dataclass(frozen=True, slots=True)
class Identity:
    """The names behind a principal's ids."""

    organisation: str
    workspace: str
    person: str
    email: str | None
    key: str | None


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace of an organisation."""

    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Person:
    """A member of a workspace; ``groups`` are names."""

    id: str
    name: str
    email: str | None
    role: Role
    groups: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Group:
    """People of an organisation whom access lists name together; ``members`` are ids."""

    id: str
    name: str
    members: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who changed what somebody may do or read."""

    id: str
    workspace_id: str
    person_id: str
    action: str
    target: str
    detail: dict[str, Any]
    at: datetime
