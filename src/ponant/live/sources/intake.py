"""Takes the changes of one source into its library, one transaction each."""

from collections.abc import Sequence
from dataclasses import replace

import structlog
from sqlalchemy.exc import SQLAlchemyError

from ponant.kit.errors import PonantError
from ponant.live import faults
from ponant.live.indexing.ingestion import Home, Ingestion, Known
from ponant.live.reading.parsing import UnreadableDocument
from ponant.live.sources.port import About, Batch, Content, Cursor, Found, Gone, SourceFault
from ponant.live.sources.stock import Stock

_log = structlog.get_logger(__name__)


class Intake:
    """Stores what a source says, and notes it in the stock."""

    def __init__(self, home: Home, ingestion: Ingestion, stock: Stock) -> None:
        self._home = home
        self._ingestion = ingestion
        self._stock = stock

    async def take(self, change: Found | Gone, *, hurry: bool) -> None:
        """Take a change in; a fault of ours in one must not keep the others out."""
        if isinstance(change, Gone):
            self._stock.passed.pop(change.key, None)
            await self.delete([change.key], change.cursor)
            return
        try:
            await self._take(change, hurry=hurry)
        except (OSError, PonantError, SQLAlchemyError, SourceFault):
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the next document is another
            _log.exception(
                "A document was passed over.", source=self._home.source_id, key=change.key
            )
            self._stock.passed[change.key] = change.signature

    async def delete(self, keys: Sequence[str], cursor: Cursor | None = None) -> None:
        """Delete what is stored under some keys."""
        known = self._stock.known
        ids = [known[key].document_id for key in keys if key in known]
        if not ids:
            await self.keep(cursor)
            return
        faults.point("deleting")
        home = self._home
        change = await self._ingestion.write(
            self._ingestion.index.delete_documents,
            home.scope,
            home.library_id,
            ids,
            source_id=home.source_id,
            cursor=cursor,
        )
        for key in keys:
            self._stock.drop(key)
        self._stock.cursor = cursor or self._stock.cursor
        self._ingestion.publish(home.scope, change)

    async def forget(self, batch: Batch) -> None:
        """Delete what a complete look no longer shows."""
        if batch.complete:
            await self.delete(self._stock.gone(batch))
            found = {one.key for one in batch.changes if isinstance(one, Found)}
            passed = self._stock.passed
            self._stock.passed = {key: sign for key, sign in passed.items() if key in found}

    async def without_moves(self, batch: Batch) -> Sequence[Found | Gone]:
        """The changes but for documents that only moved, which are noted at their new place."""
        if batch.identity is None or not self._stock.known:
            return batch.changes
        known = self._stock.known
        gone = self._stock.gone(batch)
        if not gone:
            return batch.changes
        places = {batch.identity(known[key].signature): key for key in gone}
        found = {one.key: one for one in batch.changes if isinstance(one, Found)}
        moved: set[str] = set()
        for one in found.values():
            key = places.get(batch.identity(one.signature)) if one.signature else None
            if key is not None and one.key not in known and key in known:
                await self._move(known[key], one)
                moved.add(key)
        return [one for one in batch.changes if not (isinstance(one, Gone) and one.key in moved)]

    async def _move(self, known: Known, found: Found) -> None:
        """Follow a document to its new place; it is read again there, in case it is another."""
        home = self._home
        change = await self._ingestion.write(
            self._ingestion.index.move_document,
            home.scope,
            home.library_id,
            known.document_id,
            found.key,
            found.name,
            "",
        )
        self._stock.drop(known.path)
        self._stock.put(replace(known, path=found.key, signature=""))
        self._ingestion.publish(home.scope, change)

    async def store_cursor(self, batch: Batch) -> None:
        """Note where the source goes on, where the last change did not do so."""
        last = next((one.cursor for one in reversed(batch.changes) if one.cursor), None)
        await self.keep(batch.cursor or last)

    async def keep(self, cursor: Cursor | None) -> None:
        """Note where the source goes on, where no document changed."""
        if cursor is not None and cursor != self._stock.cursor and self._home.source_id is not None:
            await self._ingestion.write(
                self._ingestion.index.set_cursor, self._home.scope, self._home.source_id, cursor
            )
            self._stock.cursor = cursor

    async def _take(self, found: Found, *, hurry: bool) -> None:
        known = self._stock.known.get(found.key)
        try:
            content = await found.read()
        except FileNotFoundError:
            return  # the next look finds it missing
        except UnreadableDocument as e:
            content = Content(b"", "", found.signature)
            await self._store_failure(found, known, content, str(e))
            return
        faults.point("read")
        self._stock.passed.pop(found.key, None)
        if _says_more(found, known, content):
            taken = await self._ingestion.take(
                self._home,
                known,
                found.key,
                found.name,
                content,
                about=found.about,
                cursor=found.cursor,
                hurry=hurry,
            )
            self._stock.put(replace(taken, source_version=found.source_version, about=found.about))
            self._stock.cursor = found.cursor or self._stock.cursor
        elif known is not None and known.signature != content.signature:
            await self._touch(known, content)

    async def _store_failure(
        self, found: Found, known: Known | None, content: Content, reason: str
    ) -> None:
        failed = await self._ingestion.fail(
            self._home,
            known,
            found.key,
            found.name,
            content,
            reason,
            about=found.about,
            cursor=found.cursor,
        )
        self._stock.put(replace(failed, source_version=found.source_version))
        self._stock.cursor = found.cursor or self._stock.cursor

    async def _touch(self, known: Known, content: Content) -> None:
        """Remember that a document was written without becoming another."""
        await self._ingestion.write(
            self._ingestion.index.set_document,
            self._home.scope,
            known.document_id,
            signature=content.signature,
        )
        self._stock.put(replace(known, signature=content.signature))


def _says_more(found: Found, known: Known | None, content: Content) -> bool:
    """Whether a document that was read says something else than what is stored."""
    if known is None or known.content_hash != content.hash or known.state != "indexed":
        return True
    if known.source_version != found.source_version:
        return True
    return known.signature != content.signature and not _is_said(found.about, known.about)


def _is_said(about: About, stored: About | None) -> bool:
    """Whether what a source says of a document besides its content is stored."""
    if stored is None or (about.access is not None and stored.access is None):
        return about == About()
    same = (about.url, dict(about.metadata)) == (stored.url, dict(stored.metadata))
    return same and about.access == stored.access
