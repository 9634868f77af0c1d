"""Who may change a library besides its owner and the workspace's administrators."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import delete, select

from ponant.accounts import repository
from ponant.accounts.principal import Principal
from ponant.accounts.tables import ShareRow
from ponant.kit.errors import BadRequest, NotFound
from ponant.store import Database, in_scope

Level = Literal["Viewer", "Editor"]
With = Literal["User", "Workspace"]


@dataclass(frozen=True, slots=True)
class Share:
    """What a person, or everybody in the workspace, may do with a library."""

    library_id: str
    kind: With
    entity_id: str
    level: Level


class Shares:
    """Levels that were given; every method is one transaction.

    Everybody in a workspace may read its libraries, as far as access lists go: what is kept here
    lets them change one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, caller: Principal, library_id: str) -> list[Share]:
        """What was given for a library, and that the workspace reads it."""
        statement = (
            select(ShareRow)
            .where(ShareRow.library_id == library_id, in_scope(ShareRow, caller.scope))
            .order_by(ShareRow.kind, ShareRow.entity_id)
        )
        with self._database.read() as session:
            rows = session.scalars(statement).all()
        given = [Share(row.library_id, _kind(row.kind), row.entity_id, "Editor") for row in rows]
        if any(one.kind == "Workspace" for one in given):
            return given
        return [Share(library_id, "Workspace", caller.workspace_id, "Viewer"), *given]

    def give(
        self, caller: Principal, library_id: str, kind: With, entity_id: str, level: Level
    ) -> Share:
        """Let a member, or all of the workspace, change a library or only read it.

        Raises:
            BadRequest: somebody outside the workspace is meant.
        """
        made = Share(library_id, kind, entity_id, level)
        with self._database.write() as session:
            if kind == "Workspace" and entity_id != caller.workspace_id:
                raise BadRequest("A library is shared inside its own workspace.")
            is_member = kind == "Workspace" or repository.principal(
                session, caller.scope, entity_id
            )
            if not is_member:
                raise BadRequest(f"There is no person {entity_id} in this workspace.")
            session.execute(
                delete(ShareRow).where(
                    ShareRow.library_id == library_id,
                    ShareRow.entity_id == entity_id,
                    in_scope(ShareRow, caller.scope),
                )
            )
            if level == "Editor":
                session.add(
                    ShareRow(
                        library_id=library_id,
                        workspace_id=caller.workspace_id,
                        kind=kind,
                        entity_id=entity_id,
                    )
                )
        return made

    def take(self, caller: Principal, library_id: str, entity_id: str) -> Share:
        """Take back that somebody may change a library.

        Raises:
            NotFound: they may not, or only as its owner or an administrator.
        """
        with self._database.write() as session:
            gone = session.scalars(
                delete(ShareRow)
                .where(
                    ShareRow.library_id == library_id,
                    ShareRow.entity_id == entity_id,
                    in_scope(ShareRow, caller.scope),
                )
                .returning(ShareRow.kind)
            ).all()
        if not gone:
            raise NotFound(
                "That share is not there. The workspace reads all of its libraries: close single "
                "documents with access lists."
            )
        return Share(library_id, _kind(gone[0]), entity_id, "Viewer")

    def may_edit(self, caller: Principal, library_id: str) -> bool:
        """Whether the caller was given a library to change."""
        statement = select(ShareRow.entity_id).where(
            ShareRow.library_id == library_id,
            ShareRow.entity_id.in_((caller.person_id, caller.workspace_id)),
            in_scope(ShareRow, caller.scope),
        )
        with self._database.read() as session:
            return session.scalars(statement).first() is not None


def _kind(stored: str) -> With:
    return "User" if stored == "User" else "Workspace"
