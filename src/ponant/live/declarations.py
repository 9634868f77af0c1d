"""Writes what people declare: libraries, sources and allowed roots."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from ponant.kit import Clock, new_id
from ponant.kit.errors import BadRequest, Conflict
from ponant.live import repository
from ponant.live.indexing.words import GENERATION
from ponant.live.tables import LibraryRow, PlaceRow, SourceRow, TombstoneRow
from ponant.store import Database, Scope, in_scope

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Declared:
    """A source that was checked and may be kept.

    Attributes:
        title: what it is called in a sentence.
        folder: joins the folders that sources may lie in.
    """

    kind: str
    config: dict[str, Any]
    secrets: dict[str, str]
    title: str
    folder: str | None = None


class Declarations:
    """What a library is and where its documents come from, in live.db."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def create_library(
        self, scope: Scope, name: str, description: str, owner_id: str | None
    ) -> str:
        """Make an empty library and return its id."""
        name, now, library_id = _checked(name), self._clock.now(), new_id("lib")
        with self._database.write() as session:
            session.add(
                PlaceRow(
                    library_id=library_id,
                    workspace_id=scope.workspace_id,
                    generation=GENERATION,
                )
            )
            session.add(
                LibraryRow(
                    id=library_id,
                    workspace_id=scope.workspace_id,
                    owner_id=owner_id,
                    name=name,
                    description=description,
                    version=0,
                    as_of=now,
                    created_at=now,
                    updated_at=now,
                )
            )
        return library_id

    def update_library(
        self, scope: Scope, library_id: str, name: str | None, description: str | None
    ) -> None:
        """Change what is not None.

        Raises:
            NotFound: there is no such library for this scope.
        """
        values = {} if name is None else {"name": _checked(name)}
        values |= {} if description is None else {"description": description}
        with self._database.write() as session:
            repository.library(session, scope, library_id)
            session.execute(
                update(LibraryRow)
                .where(LibraryRow.id == library_id, in_scope(LibraryRow, scope))
                .values(**values, updated_at=self._clock.now())
                .execution_options(synchronize_session=False)
            )

    def delete_library(self, scope: Scope, library_id: str) -> None:
        """Delete a library and all that hangs on it.

        Raises:
            NotFound: there is no such library for this scope.
        """
        with self._database.write() as session:
            repository.library(session, scope, library_id)
            session.execute(
                delete(TombstoneRow).where(
                    TombstoneRow.library_id == library_id, in_scope(TombstoneRow, scope)
                )
            )
            repository.remove(session, scope, LibraryRow, library_id)
            session.execute(delete(PlaceRow).where(PlaceRow.library_id == library_id))

    def add_source(
        self, scope: Scope, library_id: str, declared: Declared, *, trusted: bool
    ) -> SourceRow:
        """Declare a source.

        Raises:
            NotFound: there is no such library for this scope.
            Conflict: the library follows the same already.
        """
        now = self._clock.now()
        with self._database.write() as session:
            repository.library(session, scope, library_id)
            _refuse_twice(session, scope, library_id, declared)
            if declared.folder is not None:
                repository.allow_root(session, declared.folder, now)
            row = SourceRow(
                id=new_id("src"),
                workspace_id=scope.workspace_id,
                library_id=library_id,
                kind=declared.kind,
                config=declared.config,
                secrets=declared.secrets,
                trusted=trusted,
                created_at=now,
            )
            session.add(row)
        return row

    def sign_in(
        self,
        scope: Scope,
        library_id: str,
        source_id: str,
        config: dict[str, Any],
        sealed: Callable[[Mapping[str, str]], dict[str, str]],
    ) -> SourceRow:
        """Keep with what a source signs in from now on; all that it brought stays.

        Args:
            sealed: the secrets to store, of those that are stored.

        Raises:
            NotFound: there is no such source in the library for this scope.
        """
        with self._database.write() as session:
            repository.source(session, scope, library_id, source_id)
            stored = repository.secrets(session, scope, library_id, source_id)
            session.execute(
                update(SourceRow)
                .where(SourceRow.id == source_id, in_scope(SourceRow, scope))
                .values(config=config, secrets=sealed(stored))
                .execution_options(synchronize_session=False)
            )
        with self._database.read() as session:
            return repository.source(session, scope, library_id, source_id)


def _refuse_twice(session: Session, scope: Scope, library_id: str, declared: Declared) -> None:
    for row in repository.sources(session, scope, library_id):
        if (row.kind, row.config) == (declared.kind, declared.config):
            raise Conflict(f"The library follows {declared.title} already.")


def _checked(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > _LONGEST_NAME:
        raise BadRequest(
            f"A library needs a name of 1 to {_LONGEST_NAME} characters.", param="name"
        )
    return name
