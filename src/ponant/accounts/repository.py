"""The statements over the tables of accounts, each inside the scope that it is given."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ponant.accounts.principal import Principal, Role, lower, marks_of
from ponant.accounts.schemas import ApiKey, Identity
from ponant.accounts.tables import (
    ApiKeyRow,
    GroupMemberRow,
    GroupRow,
    InstallationRow,
    KeyLookupRow,
    MembershipRow,
    OrganisationRow,
    PersonRow,
    SessionRow,
    SignInTokenRow,
    WorkspaceRow,
)
from ponant.store import Scope, in_scope

_INSTALLATION = 1


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """A key that was looked up by its hash, with whom it speaks for."""

    principal: Principal
    last_used_at: datetime | None


def installation(session: Session) -> InstallationRow | None:
    return session.get(InstallationRow, _INSTALLATION)


def install(session: Session, owner: Scope, now: datetime) -> InstallationRow:
    """Note which organisation, workspace and administrator everything began with."""
    installed = InstallationRow(
        id=_INSTALLATION,
        organisation_id=owner.organisation_id,
        workspace_id=owner.workspace_id,
        person_id=owner.person_id,
        created_at=now,
    )
    session.add(installed)
    session.flush()
    return installed


def add_organisation(session: Session, owner: Scope, names: Identity, now: datetime) -> None:
    """Write an organisation with its first workspace and its first administrator."""
    organisation_id = owner.organisation_id
    organisation = OrganisationRow(
        organisation_id=organisation_id, name=names.organisation, created_at=now
    )
    workspace = WorkspaceRow(
        id=owner.workspace_id,
        organisation_id=organisation_id,
        name=names.workspace,
        created_at=now,
    )
    person = PersonRow(
        id=owner.person_id,
        organisation_id=organisation_id,
        name=names.person,
        email=names.email,
        created_at=now,
    )
    membership = MembershipRow(
        workspace_id=owner.workspace_id, person_id=owner.person_id, role=Role.ADMIN.value
    )
    for row in (organisation, workspace, person, membership):
        session.add(row)
        session.flush()  # each points at one before it


def principal(
    session: Session, scope: Scope, person_id: str, session_id: str | None = None
) -> Principal | None:
    """The member of a workspace with that id, or None."""
    found = session.execute(
        select(MembershipRow.role, PersonRow.name, PersonRow.email)
        .join(PersonRow, PersonRow.id == MembershipRow.person_id)
        .where(
            in_scope(MembershipRow, scope),
            in_scope(PersonRow, scope),
            MembershipRow.person_id == person_id,
        )
    ).one_or_none()
    if found is None:
        return None
    return Principal(
        organisation_id=scope.organisation_id or "",
        workspace_id=scope.workspace_id or "",
        person_id=person_id,
        role=Role(found.role),
        key_id=None,
        session_id=session_id,
        name=found.name,
        marks=marks(session, scope, person_id, found.email),
    )


def marks(session: Session, scope: Scope, person_id: str, email: str | None) -> tuple[str, ...]:
    """What access lists may call somebody by, as of now."""
    groups = session.scalars(
        select(GroupRow.name)
        .join(GroupMemberRow, GroupMemberRow.group_id == GroupRow.id)
        .where(
            in_scope(GroupRow, scope),
            in_scope(GroupMemberRow, scope),
            GroupMemberRow.person_id == person_id,
        )
    )
    return marks_of(person_id, email, groups)


def key_lookup(session: Session, key_hash: str) -> KeyLookupRow | None:
    return session.get(KeyLookupRow, key_hash)


def key_owner(session: Session, lookup: KeyLookupRow) -> KeyOwner | None:
    """Whom a key speaks for; None where it is revoked or its person is no member any more."""
    scope = Scope(lookup.organisation_id, lookup.workspace_id)
    found = session.execute(
        select(ApiKeyRow, MembershipRow.role, PersonRow.name, PersonRow.email)
        .join(MembershipRow, MembershipRow.person_id == ApiKeyRow.person_id)
        .join(PersonRow, PersonRow.id == ApiKeyRow.person_id)
        .where(
            in_scope(ApiKeyRow, scope),
            in_scope(MembershipRow, scope),
            in_scope(PersonRow, scope),
            ApiKeyRow.id == lookup.key_id,
            ApiKeyRow.revoked_at.is_(None),
        )
    ).one_or_none()
    if found is None:
        return None
    row = found.ApiKeyRow
    caller = Principal(
        organisation_id=lookup.organisation_id,
        workspace_id=lookup.workspace_id,
        person_id=row.person_id,
        role=lower(Role(row.role), Role(found.role)),
        key_id=row.id,
        session_id=None,
        name=found.name,
        marks=marks(session, scope, row.person_id, found.email),
    )
    return KeyOwner(caller, row.last_used_at)


def add_key(session: Session, scope: Scope, row: ApiKeyRow, key_hash: str) -> None:
    session.add(row)
    session.flush()
    session.add(
        KeyLookupRow(
            key_hash=key_hash,
            key_id=row.id,
            organisation_id=scope.organisation_id,
            workspace_id=scope.workspace_id,
        )
    )


def keys(session: Session, scope: Scope, person_id: str | None = None) -> list[ApiKeyRow]:
    """The keys of a workspace, or of one person in it, the oldest first."""
    statement = select(ApiKeyRow).where(in_scope(ApiKeyRow, scope)).order_by(ApiKeyRow.id)
    if person_id is not None:
        statement = statement.where(ApiKeyRow.person_id == person_id)
    return list(session.scalars(statement))


def key(session: Session, scope: Scope, key_id: str) -> ApiKeyRow | None:
    return session.scalars(
        select(ApiKeyRow).where(in_scope(ApiKeyRow, scope), ApiKeyRow.id == key_id)
    ).one_or_none()


def set_revoked(session: Session, scope: Scope, key_id: str, when: datetime | None) -> None:
    session.execute(
        update(ApiKeyRow)
        .where(in_scope(ApiKeyRow, scope), ApiKeyRow.id == key_id)
        .values(revoked_at=when)
    )


def touch_key(session: Session, scope: Scope, key_id: str, now: datetime) -> None:
    session.execute(
        update(ApiKeyRow)
        .where(in_scope(ApiKeyRow, scope), ApiKeyRow.id == key_id)
        .values(last_used_at=now)
    )


def identity(session: Session, caller: Principal) -> Identity | None:
    scope = caller.scope
    found = session.execute(
        select(
            OrganisationRow.name.label("organisation"),
            WorkspaceRow.name.label("workspace"),
            PersonRow.name.label("person"),
            PersonRow.email,
        )
        .join(WorkspaceRow, WorkspaceRow.organisation_id == OrganisationRow.organisation_id)
        .join(PersonRow, PersonRow.organisation_id == OrganisationRow.organisation_id)
        .where(
            in_scope(OrganisationRow, scope),
            in_scope(WorkspaceRow, scope),
            in_scope(PersonRow, scope),
            WorkspaceRow.id == caller.workspace_id,
            PersonRow.id == caller.person_id,
        )
    ).one_or_none()
    if found is None:
        return None
    row = key(session, scope, caller.key_id) if caller.key_id else None
    return Identity(
        organisation=found.organisation,
        workspace=found.workspace,
        person=found.person,
        email=found.email,
        key=row.name if row else None,
    )


def take_token(session: Session, token_hash: str, now: datetime) -> SignInTokenRow | None:
    """The token with that hash, which is gone afterwards; None where it is unknown or too old."""
    row = session.get(SignInTokenRow, token_hash)
    session.execute(delete(SignInTokenRow).where(SignInTokenRow.token_hash == token_hash))
    return row if row is not None and row.expires_at > now else None


def drop_expired(session: Session, now: datetime) -> None:
    session.execute(delete(SignInTokenRow).where(SignInTokenRow.expires_at <= now))
    session.execute(delete(SessionRow).where(SessionRow.expires_at <= now))


def session_row(session: Session, cookie_hash: str) -> SessionRow | None:
    return session.get(SessionRow, cookie_hash)


def drop_session(session: Session, cookie_hash: str) -> None:
    session.execute(delete(SessionRow).where(SessionRow.cookie_hash == cookie_hash))


def as_key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        person_id=row.person_id,
        hint=row.hint,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
