"""Who is asking, and what their role allows."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ponant.store import Scope


class Role(StrEnum):
    """What somebody may do in a workspace; each role may do all that a lower one may.

    VIEWER  reads models and libraries, and searches
    MEMBER  also generates, keeps libraries and keys of their own
    ADMIN   also manages sources, everybody's keys, upstream servers and usage
    """

    VIEWER = "viewer"
    MEMBER = "member"
    ADMIN = "admin"

    def covers(self, needed: "Role") -> bool:
        """Whether this role may do what ``needed`` may."""
        return _RANKS[self] >= _RANKS[needed]


_RANKS = {role: rank for rank, role in enumerate(Role)}


def lower(one: Role, other: Role) -> Role:
    """The lesser of two roles."""
    return other if one.covers(other) else one


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who proved who they are, by a key or by a session, in one workspace."""

    organisation_id: str
    workspace_id: str
    person_id: str
    role: Role
    key_id: str | None
    session_id: str | None
    name: str
    marks: tuple[str, ...] = ()

    @property
    def scope(self) -> Scope:
        """Whose rows this caller's statements may touch, and what access lists call them by."""
        return Scope(self.organisation_id, self.workspace_id, self.person_id, self.marks)


def marks_of(person_id: str, email: str | None, groups: Iterable[str]) -> tuple[str, ...]:
    """What access lists may call a person by, sorted."""
    found = {f"person:{person_id}", *(f"group:{name}" for name in groups)}
    if email:
        found.add(f"email:{email.casefold()}")
    return tuple(sorted(found))
