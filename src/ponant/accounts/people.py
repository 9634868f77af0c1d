"""The statements over people, workspaces, groups and the audit log of an organisation."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ponant.accounts.principal import Principal, Role
from ponant.accounts.schemas import AuditEntry, Group, Person, Workspace
from ponant.accounts.tables import (
    ApiKeyRow,
    AuditRow,
    GroupMemberRow,
    GroupRow,
    MembershipRow,
    PersonRow,
    WorkspaceRow,
)
from ponant.kit import new_id
from ponant.store import Scope, in_scope


def workspaces(session: Session, scope: Scope) -> list[Workspace]:
    """An organisation's workspaces, the first one first."""
    rows = session.scalars(
        select(WorkspaceRow)
        .where(in_scope(WorkspaceRow, scope))
        .order_by(WorkspaceRow.created_at, WorkspaceRow.id)
    )
    return [Workspace(id=row.id, name=row.name, created_at=row.created_at) for row in rows]


def members(session: Session, scope: Scope) -> list[Person]:
    """The members of a workspace with their roles and groups, the oldest first."""
    found = session.execute(
        select(PersonRow, MembershipRow.role)
        .join(MembershipRow, MembershipRow.person_id == PersonRow.id)
        .where(in_scope(PersonRow, scope), in_scope(MembershipRow, scope))
        .order_by(PersonRow.id)
    ).all()
    joined = _groups_by_person(session, scope)
    return [
        Person(
            id=row.id,
            name=row.name,
            email=row.email,
            role=Role(role),
            groups=tuple(joined.get(row.id, ())),
            created_at=row.created_at,
        )
        for row, role in found
    ]


def person(session: Session, scope: Scope, person_id: str) -> PersonRow | None:
    return session.scalar(
        select(PersonRow).where(PersonRow.id == person_id, in_scope(PersonRow, scope))
    )


def person_with_email(session: Session, scope: Scope, email: str) -> PersonRow | None:
    return session.scalar(
        select(PersonRow).where(PersonRow.email == email, in_scope(PersonRow, scope))
    )


def set_role(session: Session, scope: Scope, person_id: str, role: Role) -> None:
    session.execute(
        update(MembershipRow)
        .where(MembershipRow.person_id == person_id, in_scope(MembershipRow, scope))
        .values(role=role.value)
    )


def drop_member(session: Session, scope: Scope, person_id: str, now: datetime) -> None:
    """End somebody's membership of a workspace, and their keys there."""
    session.execute(
        update(ApiKeyRow)
        .where(
            ApiKeyRow.person_id == person_id,
            ApiKeyRow.revoked_at.is_(None),
            in_scope(ApiKeyRow, scope),
        )
        .values(revoked_at=now)
    )
    session.execute(
        delete(MembershipRow).where(
            MembershipRow.person_id == person_id, in_scope(MembershipRow, scope)
        )
    )


def groups(session: Session, scope: Scope) -> list[Group]:
    """An organisation's groups by name, with their members' ids."""
    rows = session.scalars(
        select(GroupRow).where(in_scope(GroupRow, scope)).order_by(GroupRow.name)
    ).all()
    belonging: dict[str, list[str]] = {}
    for member in session.scalars(
        select(GroupMemberRow)
        .where(in_scope(GroupMemberRow, scope))
        .order_by(GroupMemberRow.person_id)
    ):
        belonging.setdefault(member.group_id, []).append(member.person_id)
    return [
        Group(
            id=row.id,
            name=row.name,
            members=tuple(belonging.get(row.id, ())),
            created_at=row.created_at,
        )
        for row in rows
    ]


def drop_group(session: Session, scope: Scope, group_id: str) -> None:
    session.execute(
        delete(GroupMemberRow).where(
            GroupMemberRow.group_id == group_id, in_scope(GroupMemberRow, scope)
        )
    )
    session.execute(delete(GroupRow).where(GroupRow.id == group_id, in_scope(GroupRow, scope)))


def join(session: Session, scope: Scope, group_id: str, person_id: str) -> None:
    """Put somebody into a group, who may be in it already."""
    leave(session, scope, group_id, person_id)
    session.add(
        GroupMemberRow(
            organisation_id=scope.organisation_id, group_id=group_id, person_id=person_id
        )
    )


def leave(session: Session, scope: Scope, group_id: str, person_id: str) -> None:
    session.execute(
        delete(GroupMemberRow).where(
            GroupMemberRow.group_id == group_id,
            GroupMemberRow.person_id == person_id,
            in_scope(GroupMemberRow, scope),
        )
    )


def note(
    session: Session,
    caller: Principal,
    action: str,
    target: str,
    detail: Mapping[str, Any],
    now: datetime,
) -> None:
    """Write down who did what."""
    session.add(
        AuditRow(
            id=new_id("aud"),
            organisation_id=caller.organisation_id,
            workspace_id=caller.workspace_id,
            person_id=caller.person_id,
            action=action,
            target=target,
            detail=dict(detail),
            at=now,
        )
    )


def audit(session: Session, scope: Scope, limit: int) -> list[AuditEntry]:
    """What was done in an organisation, the latest first."""
    rows = session.scalars(
        select(AuditRow).where(in_scope(AuditRow, scope)).order_by(AuditRow.id.desc()).limit(limit)
    )
    return [
        AuditEntry(
            id=row.id,
            workspace_id=row.workspace_id,
            person_id=row.person_id,
            action=row.action,
            target=row.target,
            detail=row.detail,
            at=row.at,
        )
        for row in rows
    ]


def _groups_by_person(session: Session, scope: Scope) -> dict[str, list[str]]:
    joined: dict[str, list[str]] = {}
    for group in groups(session, scope):
        for person_id in group.members:
            joined.setdefault(person_id, []).append(group.name)
    return joined
