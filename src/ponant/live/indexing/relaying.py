"""Lays libraries out anew in the keyword index after the way of making terms has changed.

It goes document by document, each in a transaction of its own; a passage stands in the old table
or in the new one, and both are asked until all is done.
"""

import contextlib

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from ponant.kit.errors import NotFound
from ponant.live import repository
from ponant.live.indexing import former, keywords
from ponant.live.indexing.document_rows import set_document
from ponant.live.indexing.ingestion import Ingestion
from ponant.live.indexing.languages import language_of
from ponant.live.tables import LibraryRow, PassageRow
from ponant.store import Database, Scope, in_scope

_AT_ONCE = 200  # passages, so that a change never waits long for its turn to write


_log = structlog.get_logger(__name__)


async def relay_all(ingestion: Ingestion) -> None:
    """Lay out what was laid out another way, between other changes."""
    database = ingestion.index.database
    for library_id, workspace_id in await ingestion.aside(_outdated, database):
        scope = Scope(workspace_id=workspace_id)
        _log.info("A library's keywords are laid out anew.", library=library_id)
        for document_id in await ingestion.aside(_documents, database, scope, library_id):
            position: int | None = 0
            with contextlib.suppress(NotFound):  # deleted meanwhile, with its keywords
                while position is not None:
                    position = await ingestion.write(
                        _relay, database, scope, library_id, document_id, position
                    )
        await ingestion.write(_finish, database, scope, library_id)


def _outdated(database: Database) -> list[tuple[str, str]]:
    """Libraries that were laid out another way, each with its workspace."""
    with database.read() as session:
        return [
            (library_id, workspace_id)
            for library_id, workspace_id in repository.places(session)
            if not keywords.is_current(session, Scope(workspace_id=workspace_id), library_id)
        ]


def _documents(database: Database, scope: Scope, library_id: str) -> list[str]:
    """The ids of a library's documents."""
    with database.read() as session:
        return [row.id for row in repository.documents(session, scope, library_id)]


def _relay(
    database: Database, scope: Scope, library_id: str, document_id: str, position: int
) -> int | None:
    """Lay out a document's next passages; returns where to go on, or None at its end.

    Raises:
        NotFound: the document is gone.
    """
    with database.write() as session:
        row = repository.document(session, scope, library_id, document_id, whole=True)
        language = row.language
        if not language:
            language = language_of(row.text)
            set_document(session, scope, document_id, {"language": language})
        passages = _next(session, scope, document_id, position)
        ids = [passage.id for passage in passages]
        former.drop(session, ids)
        keywords.drop(session, ids)
        keywords.write(session, scope, library_id, row.name, language, passages)
    return passages[-1].position + 1 if len(passages) == _AT_ONCE else None


def _finish(database: Database, scope: Scope, library_id: str) -> None:
    """Note that a library is laid out the present way."""
    with database.write() as session:
        keywords.set_current(session, scope, library_id)
        count = (
            select(func.count())
            .where(PassageRow.library_id == library_id, in_scope(PassageRow, scope))
            .scalar_subquery()
        )
        session.execute(
            update(LibraryRow)
            .where(LibraryRow.id == library_id, in_scope(LibraryRow, scope))
            .values(passages=count)
            .execution_options(synchronize_session=False)
        )


def _next(session: Session, scope: Scope, document_id: str, position: int) -> list[PassageRow]:
    statement = (
        select(PassageRow)
        .where(
            PassageRow.document_id == document_id,
            PassageRow.position >= position,
            in_scope(PassageRow, scope),
        )
        .order_by(PassageRow.position)
        .limit(_AT_ONCE)
    )
    return list(session.scalars(statement))
