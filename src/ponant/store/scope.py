"""Whose rows a statement may touch.

Every table declares its scope, which `store.scoping` alone puts into statements; processes that
only name a scope import nothing of the database.

PLATFORM        rows of the installation itself
ORGANISATION    column ``organisation_id``
WORKSPACE       column ``workspace_id``
PERSON          columns ``workspace_id`` and ``person_id``
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol


class ScopeKind(StrEnum):
    """How far a table's rows reach."""

    PLATFORM = "platform"
    ORGANISATION = "organisation"
    WORKSPACE = "workspace"
    PERSON = "person"


class Scoped(Protocol):
    """A table that says how far its rows reach."""

    __scope__: ClassVar[ScopeKind]


COLUMNS: dict[ScopeKind, tuple[str, ...]] = {
    ScopeKind.PLATFORM: (),
    ScopeKind.ORGANISATION: ("organisation_id",),
    ScopeKind.WORKSPACE: ("workspace_id",),
    ScopeKind.PERSON: ("workspace_id", "person_id"),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """On whose behalf a statement runs; an id that is None gives no access at that level.

    Attributes:
        marks: what access lists may call the person by, such as ``person:per_…``, ``email:…`` and
            ``group:…``; who has none reads only what everybody in the workspace may.
    """

    organisation_id: str | None = None
    workspace_id: str | None = None
    person_id: str | None = None
    marks: tuple[str, ...] = ()

    def parameters(self, kind: ScopeKind) -> dict[str, str]:
        """The columns that must match for a table of this kind, named ``scope_<column>``.

        Raises:
            LookupError: the scope does not reach tables of that kind.
        """
        values: dict[str, str] = {}
        for column in COLUMNS[kind]:
            value = getattr(self, column)
            if value is None:
                raise LookupError(f"a {kind} table needs a scope with {column}")
            values[f"scope_{column}"] = value
        return values
