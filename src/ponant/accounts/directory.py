"""Who belongs to an organisation: its workspaces, people and groups, and who changed them."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from sqlalchemy.orm import Session

from ponant.accounts import people, repository
from ponant.accounts.principal import Principal, Role
from ponant.accounts.schemas import AuditEntry, Group, Person, Workspace
from ponant.accounts.tables import GroupRow, MembershipRow, PersonRow, WorkspaceRow
from ponant.kit import Clock, new_id
from ponant.kit.errors import Conflict, Forbidden, NotFound, Unprocessable
from ponant.store import Database, Scope

_LONGEST_NAME = 100
_LONGEST_ADDRESS = 254  # RFC 5321


class Whose(Protocol):
    """Says which person of which workspace is meant."""

    @property
    def organisation_id(self) -> str: ...

    @property
    def workspace_id(self) -> str: ...

    @property
    def person_id(self) -> str: ...


class Directory:
    """People, workspaces and groups. Every method is one transaction.

    Groups, and people who are new, belong to the whole organisation: they are for the
    administrators of its first workspace. Membership and roles of a workspace are for its own.

    Args:
        forget: called after every change, so that no key is remembered as it was before.
    """

    def __init__(self, database: Database, clock: Clock, forget: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._forget = forget

    # Workspaces and people

    def workspaces(self, caller: Principal) -> list[Workspace]:
        """The organisation's workspaces, for its administrators."""
        with self._database.read() as session:
            _govern(session, caller)
            return people.workspaces(session, caller.scope)

    def add_workspace(self, caller: Principal, name: str) -> Workspace:
        """A new workspace, of which the caller is an administrator."""
        name, now = _checked(name, "workspace"), self._clock.now()
        made = Workspace(id=new_id("ws"), name=name, created_at=now)
        with self._database.write() as session:
            _govern(session, caller)
            row = WorkspaceRow(
                id=made.id, organisation_id=caller.organisation_id, name=name, created_at=now
            )
            session.add(row)
            session.flush()
            session.add(
                MembershipRow(
                    workspace_id=made.id, person_id=caller.person_id, role=Role.ADMIN.value
                )
            )
            people.note(session, caller, "workspace.add", made.id, {"name": name}, now)
        return made

    def people(self, caller: Principal) -> list[Person]:
        """The members of the caller's workspace."""
        _administer(caller)
        with self._database.read() as session:
            return people.members(session, caller.scope)

    def add_person(
        self,
        caller: Principal,
        name: str,
        email: str | None,
        role: Role,
        *,
        governor: Principal | None = None,
    ) -> Person:
        """Make somebody a member of the caller's workspace.

        Somebody of the organisation with that address is that person; nobody else may be made
        but by the organisation's administrators.

        Args:
            governor: the same person as an administrator of the organisation's first workspace.

        Raises:
            Conflict: they are a member already.
        """
        _administer(caller)
        name, email, now = _checked(name, "person"), _address(email), self._clock.now()
        with self._database.write() as session:
            row = people.person_with_email(session, caller.scope, email) if email else None
            if row is None:
                _govern(session, governor or caller)
                row = PersonRow(
                    id=new_id("person"),
                    organisation_id=caller.organisation_id,
                    name=name,
                    email=email,
                    created_at=now,
                )
                session.add(row)
                session.flush()
            elif repository.principal(session, caller.scope, row.id) is not None:
                raise Conflict(f"{email} is a member of this workspace already.")
            session.add(
                MembershipRow(workspace_id=caller.workspace_id, person_id=row.id, role=role.value)
            )
            session.flush()
            detail = {"name": row.name, "email": email, "role": role.value}
            people.note(session, caller, "person.add", row.id, detail, now)
            made = _member(session, caller.scope, row.id)
        self._forget()
        return made

    def set_role(self, caller: Principal, person_id: str, role: Role) -> Person:
        """Give a member another role.

        Raises:
            Conflict: nobody would administer the workspace any more.
        """
        _administer(caller)
        with self._database.write() as session:
            _member(session, caller.scope, person_id)
            if role is not Role.ADMIN:
                _keep_an_administrator(session, caller.scope, person_id)
            people.set_role(session, caller.scope, person_id, role)
            detail = {"role": role.value}
            people.note(session, caller, "person.role", person_id, detail, self._clock.now())
            changed = _member(session, caller.scope, person_id)
        self._forget()
        return changed

    def remove_person(self, caller: Principal, person_id: str) -> None:
        """End somebody's membership of the workspace, and their keys there.

        Raises:
            Conflict: nobody would administer the workspace any more.
        """
        _administer(caller)
        with self._database.write() as session:
            _member(session, caller.scope, person_id)
            _keep_an_administrator(session, caller.scope, person_id)
            now = self._clock.now()
            people.drop_member(session, caller.scope, person_id, now)
            people.note(session, caller, "person.remove", person_id, {}, now)
        self._forget()

    def act_as(self, caller: Principal, person_id: str) -> Principal:
        """A member as a principal, for whom an administrator makes a key or a link."""
        _administer(caller)
        with self._database.read() as session:
            found = repository.principal(session, caller.scope, person_id)
        if found is None:
            raise _no_person(person_id)
        return found

    def in_workspace(self, caller: Principal, workspace: str) -> Principal:
        """The caller in another workspace, by its name or id, of which they are a member."""
        for one in self.workspaces(caller):
            if workspace in (one.id, one.name):
                with self._database.read() as session:
                    scope = Scope(caller.organisation_id, one.id, caller.person_id)
                    found = repository.principal(session, scope, caller.person_id)
                if found is not None:
                    return found
        raise NotFound(f"There is no workspace {workspace} of which you are a member.")

    def member(self, whose: Whose) -> Principal | None:
        """Somebody as they are now: another role, other groups; None where they are gone."""
        scope = Scope(whose.organisation_id, whose.workspace_id, whose.person_id)
        with self._database.read() as session:
            return repository.principal(session, scope, whose.person_id)

    # Groups

    def groups(self, caller: Principal) -> list[Group]:
        """The organisation's groups by name."""
        _administer(caller)
        with self._database.read() as session:
            return people.groups(session, caller.scope)

    def add_group(self, caller: Principal, name: str) -> Group:
        """An empty group.

        Raises:
            Conflict: there is one of that name.
        """
        name, now = _checked(name, "group"), self._clock.now()
        made = Group(id=new_id("grp"), name=name, members=(), created_at=now)
        with self._database.write() as session:
            _govern(session, caller)
            if any(one.name == name for one in people.groups(session, caller.scope)):
                raise Conflict(f"There is a group {name} already.", param="name")
            session.add(
                GroupRow(
                    id=made.id,
                    organisation_id=caller.organisation_id,
                    name=name,
                    created_at=now,
                )
            )
            people.note(session, caller, "group.add", made.id, {"name": name}, now)
        return made

    def remove_group(self, caller: Principal, group_id: str) -> None:
        """Remove a group; lists that name it let nobody in by it any more."""
        with self._database.write() as session:
            _govern(session, caller)
            group = _group(session, caller.scope, group_id)
            people.drop_group(session, caller.scope, group.id)
            detail = {"name": group.name}
            people.note(session, caller, "group.remove", group.id, detail, self._clock.now())
        self._forget()

    def join(self, caller: Principal, group_id: str, person_id: str) -> Group:
        """Put somebody of the organisation into a group; a second time changes nothing."""
        return self._change_group(caller, group_id, person_id, people.join, "group.join")

    def leave(self, caller: Principal, group_id: str, person_id: str) -> Group:
        """Take somebody out of a group."""
        return self._change_group(caller, group_id, person_id, people.leave, "group.leave")

    def _change_group(
        self,
        caller: Principal,
        group_id: str,
        person_id: str,
        change: Callable[[Session, Scope, str, str], None],
        action: str,
    ) -> Group:
        with self._database.write() as session:
            _govern(session, caller)
            group = _group(session, caller.scope, group_id)
            if people.person(session, caller.scope, person_id) is None:
                raise _no_person(person_id)
            change(session, caller.scope, group.id, person_id)
            session.flush()
            detail = {"name": group.name, "person_id": person_id}
            people.note(session, caller, action, group.id, detail, self._clock.now())
            changed = _group(session, caller.scope, group.id)
        self._forget()
        return changed

    # The audit log

    def note(self, caller: Principal, action: str, target: str, detail: Mapping[str, Any]) -> None:
        """Write down what a caller changed elsewhere."""
        with self._database.write() as session:
            people.note(session, caller, action, target, detail, self._clock.now())

    def audit(self, caller: Principal, limit: int = 100) -> list[AuditEntry]:
        """What was changed in the organisation, the latest first."""
        with self._database.read() as session:
            _govern(session, caller)
            return people.audit(session, caller.scope, limit)


def _administer(caller: Principal) -> None:
    if not caller.role.covers(Role.ADMIN):
        raise Forbidden(f"This needs the role admin, and yours is {caller.role}.")


def _govern(session: Session, caller: Principal) -> None:
    """Refuse whoever does not administer the whole organisation."""
    _administer(caller)
    first = people.workspaces(session, caller.scope)[0]
    if first.id != caller.workspace_id:
        raise Forbidden(
            f"This concerns the whole organisation. Ask an administrator of {first.name}."
        )


def _member(session: Session, scope: Scope, person_id: str) -> Person:
    for one in people.members(session, scope):
        if one.id == person_id:
            return one
    raise _no_person(person_id)


def _keep_an_administrator(session: Session, scope: Scope, person_id: str) -> None:
    others = [one for one in people.members(session, scope) if one.id != person_id]
    if not any(one.role is Role.ADMIN for one in others):
        raise Conflict("A workspace needs an administrator. Make somebody else one first.")


def _group(session: Session, scope: Scope, group_id: str) -> Group:
    for one in people.groups(session, scope):
        if group_id in (one.id, one.name):
            return one
    raise NotFound(f"There is no group {group_id}. List the groups to see which exist.")


def _no_person(person_id: str) -> NotFound:
    return NotFound(f"There is no person {person_id}. List the people to see who is there.")


def _checked(name: str, what: str) -> str:
    name = " ".join(name.split())
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise Unprocessable(
            f"The name of a {what} has between 1 and {_LONGEST_NAME} printable characters.",
            param="name",
        )
    return name


def _address(email: str | None) -> str | None:
    if email is None:
        return None
    email = email.strip().casefold()
    local, _, domain = email.partition("@")
    if not (local and domain) or len(email) > _LONGEST_ADDRESS or not email.isprintable():
        raise Unprocessable("That is no e-mail address.", param="email")
    return email
