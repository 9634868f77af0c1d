"""Organisations, workspaces, people, roles and keys."""

from ponant.accounts.directory import Directory
from ponant.accounts.lookups import Lookups
from ponant.accounts.principal import Principal, Role
from ponant.accounts.schemas import (
    ApiKey,
    AuditEntry,
    FirstStart,
    Group,
    Identity,
    NewKey,
    Person,
    Workspace,
)
from ponant.accounts.service import SESSION_LIFE, Accounts, wrong_key

__all__ = [
    "SESSION_LIFE",
    "Accounts",
    "ApiKey",
    "AuditEntry",
    "Directory",
    "FirstStart",
    "Group",
    "Identity",
    "Lookups",
    "NewKey",
    "Person",
    "Principal",
    "Role",
    "Workspace",
    "wrong_key",
]
