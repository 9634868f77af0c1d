"""Organisations of a test's own, beside the one that the first start makes."""

from ponant.accounts import Accounts, Identity, Principal, Role, repository
from ponant.accounts.tables import MembershipRow, PersonRow
from ponant.kit import Clock, new_id
from ponant.store import Database, Scope


def add_organisation(database: Database, clock: Clock, name: str) -> Principal:
    """Another organisation with a workspace and an administrator, as a host would add it."""
    scope = Scope(new_id("org"), new_id("ws"), new_id("person"))
    names = Identity(
        organisation=name, workspace="Main", person=f"{name} admin", email=None, key=None
    )
    with database.write() as session:
        repository.add_organisation(session, scope, names, clock.now())
    return _principal(scope, Role.ADMIN, names.person)


def add_person(
    database: Database, clock: Clock, beside: Principal, name: str, role: Role
) -> Principal:
    """Another member of somebody's workspace."""
    scope = Scope(beside.organisation_id, beside.workspace_id, new_id("person"))
    with database.write() as session:
        session.add(
            PersonRow(
                id=scope.person_id,
                organisation_id=scope.organisation_id,
                name=name,
                email=None,
                created_at=clock.now(),
            )
        )
        session.flush()
        session.add(
            MembershipRow(
                workspace_id=scope.workspace_id, person_id=scope.person_id, role=role.value
            )
        )
    return _principal(scope, role, name)


def key_of(accounts: Accounts, person: Principal) -> str:
    """A fresh key that speaks for somebody."""
    return accounts.create_key(person, "test").key


def _principal(scope: Scope, role: Role, name: str) -> Principal:
    return Principal(
        organisation_id=scope.organisation_id or "",
        workspace_id=scope.workspace_id or "",
        person_id=scope.person_id or "",
        role=role,
        key_id=None,
        session_id=None,
        name=name,
    )
