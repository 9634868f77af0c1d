"""Organisations, workspaces, people, roles and keys."""

from ponant.accounts.principal import Principal, Role
from ponant.accounts.schemas import ApiKey, FirstStart, Identity, NewKey
from ponant.accounts.service import SESSION_LIFE, Accounts, wrong_key

__all__ = [
    "SESSION_LIFE",
    "Accounts",
    "ApiKey",
    "FirstStart",
    "Identity",
    "NewKey",
    "Principal",
    "Role",
    "wrong_key",
]
