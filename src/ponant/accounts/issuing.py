"""Makes the rows of keys, and keeps the one key that PONANT_ADMIN_KEY names."""

from datetime import datetime

from sqlalchemy.orm import Session

from ponant.accounts import credentials, repository
from ponant.accounts.principal import Principal, Role
from ponant.accounts.tables import ApiKeyRow, KeyLookupRow
from ponant.kit import new_id
from ponant.kit.errors import SetupError

_SETTING_NAME = "PONANT_ADMIN_KEY"


def key_row(
    owner: Principal,
    name: str,
    role: Role,
    now: datetime,
    *,
    hint: str = "",
    from_setting: bool = False,
) -> ApiKeyRow:
    """A key that is about to be written."""
    return ApiKeyRow(
        id=new_id("key"),
        workspace_id=owner.workspace_id,
        person_id=owner.person_id,
        name=name,
        role=role.value,
        hint=hint,
        from_setting=from_setting,
        created_at=now,
        last_used_at=None,
        revoked_at=None,
    )


def adopt_setting(session: Session, administrator: Principal, key: str, now: datetime) -> None:
    """Make ``key`` the one live key that comes from the setting.

    Raises:
        SetupError: it was made for something else, or revoked as such.
    """
    scope, key_hash = administrator.scope, credentials.digest(key)
    lookup = repository.key_lookup(session, key_hash)
    for row in repository.keys(session, scope):
        is_it = lookup is not None and row.id == lookup.key_id
        if row.from_setting and not is_it and row.revoked_at is None:
            repository.set_revoked(session, scope, row.id, now)
    if lookup is not None:
        _keep(session, administrator, lookup)
        return
    row = key_row(administrator, _SETTING_NAME, Role.ADMIN, now, from_setting=True)
    repository.add_key(session, scope, row, key_hash)


def _keep(session: Session, administrator: Principal, lookup: KeyLookupRow) -> None:
    row = repository.key(session, administrator.scope, lookup.key_id)
    if row is not None and row.from_setting:
        repository.set_revoked(session, administrator.scope, row.id, None)
        return
    owner = repository.key_owner(session, lookup)
    is_his = owner is not None and owner.principal.person_id == administrator.person_id
    if owner is None or not is_his or owner.principal.role is not Role.ADMIN:
        raise SetupError(
            "PONANT_ADMIN_KEY is a key that was made for something else or revoked. Choose a "
            "fresh one: `openssl rand -hex 32`."
        )
