"""Files that people drop into a library: kept under PONANT_HOME, then read like any other."""

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from ponant.kit import new_id
from ponant.kit.errors import BadRequest, NotFound, PonantError, StorageFull
from ponant.live import repository
from ponant.live.access import may_read
from ponant.live.access_rows import access_marks
from ponant.live.indexing.access import access_id
from ponant.live.indexing.index import Moved
from ponant.live.indexing.ingestion import Home, Ingestion, Known
from ponant.live.port import MetadataValue
from ponant.live.reading.parsing import MEDIA_TYPES, UnreadableDocument
from ponant.live.sources import files
from ponant.live.sources.port import About, Content
from ponant.live.sources.roots import UPLOADS
from ponant.live.tables import DocumentRow
from ponant.store import Scope

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What comes with a dropped file; None leaves what was said of the one before it.

    Attributes:
        access: marks of who may read it.
    """

    metadata: dict[str, MetadataValue] | None = None
    access: tuple[str, ...] | None = None


class Uploads:
    """Stores dropped files and takes them in, one after the other.

    A file is on disk, and its document noted as pending, before `add` returns; what a crash left
    pending is taken in at the next start.

    Args:
        changed: called when fewer files of a library wait.
    """

    def __init__(
        self, home: Path, ingestion: Ingestion, changed: Callable[[Scope, str], None]
    ) -> None:
        self._changed = changed
        self._folder = home / UPLOADS
        self._ingestion = ingestion
        self._queue: asyncio.Queue[tuple[Scope, str, str]] = asyncio.Queue()
        self._waiting: Counter[str] = Counter()

    async def add(
        self,
        scope: Scope,
        library_id: str,
        name: str,
        data: bytes,
        said: Said = Said(),
        *,
        replace: bool = True,
    ) -> str:
        """Keep a file and queue it; returns its document's id.

        Args:
            replace: take the place of a file of the same name, as an edit. One that the caller
                may not read stays, and there are two.

        Raises:
            BadRequest: the name is not one of a file that Ponant reads.
            NotFound: there is no such library.
            StorageFull: there is no room for it.
        """
        name = _checked_name(name)
        document_id = await self._ingestion.write(
            self._store, scope, library_id, name, data, said, replace=replace
        )
        self._enqueue(scope, library_id, document_id)
        return document_id

    async def retry(self, scope: Scope, library_id: str) -> int:
        """Read again the files that could not be read; returns how many."""
        ids = await self._ingestion.write(self._reopen, scope, library_id)
        for document_id in ids:
            self._enqueue(scope, library_id, document_id)
        return len(ids)

    def _reopen(self, scope: Scope, library_id: str) -> list[str]:
        index = self._ingestion.index
        with index.database.read() as session:
            rows = repository.uploads(session, scope, library_id)
        failed = [row.id for row in rows if row.state == "failed"]
        for document_id in failed:
            index.set_document(scope, document_id, state="pending")
        return failed

    def waiting(self, library_id: str) -> int:
        """How many files of a library are still to be read."""
        return self._waiting[library_id]

    async def run(self) -> None:
        """Take files in until cancelled."""
        for scope, library_id, document_id in await self._ingestion.aside(self._left_over):
            self._enqueue(scope, library_id, document_id)
        while True:
            scope, library_id, document_id = await self._queue.get()
            try:
                await self._take(scope, library_id, document_id)
            except NotFound:
                continue  # deleted before its turn
            except (PonantError, SQLAlchemyError, OSError) as e:
                _log.error("A file was not taken in.", document=document_id, reason=str(e))
                await asyncio.sleep(1)
                self._enqueue(scope, library_id, document_id)
            finally:
                self._waiting[library_id] -= 1
                self._changed(scope, library_id)

    def delete(self, scope: Scope, library_id: str, document_id: str) -> Moved:
        """Delete a document and then its file; runs on the writing thread."""
        row = self._row(scope, library_id, document_id)
        moved = self._ingestion.index.delete_documents(scope, library_id, [document_id])
        self.remove(library_id, row.path)
        return moved

    def rename(self, scope: Scope, library_id: str, document_id: str, name: str) -> Moved:
        """Give a document another name; runs on the writing thread.

        Raises:
            BadRequest: the name is not one of a file that is read the same way.
        """
        row, name = self._row(scope, library_id, document_id), _checked_name(name)
        if files.media_type(name) != row.media_type:
            raise BadRequest("The ending of the name must stay what it is.", param="name")
        index = self._ingestion.index
        return index.move_document(scope, library_id, document_id, row.path, name, row.signature)

    def content(self, scope: Scope, library_id: str, document_id: str) -> bytes:
        """The file as it was dropped.

        Raises:
            NotFound: it is not there any more.
        """
        row = self._row(scope, library_id, document_id)
        try:
            return files.read((self._folder / library_id).resolve(), row.path).data
        except (FileNotFoundError, UnreadableDocument) as e:
            raise NotFound(f"The file of {row.name} is not there any more.") from e

    async def again(self, scope: Scope, library_id: str, document_id: str) -> None:
        """Read a file again, from the disk."""
        index = self._ingestion.index
        await self._ingestion.write(
            index.set_document, scope, document_id, state="pending", message=""
        )
        self._enqueue(scope, library_id, document_id)

    def remove(self, library_id: str, path: str | None = None) -> None:
        """Delete a library's file, or all of its files."""
        folder = self._folder / library_id
        targets = [folder / path] if path is not None else list(folder.glob("*"))
        for target in targets:
            target.unlink(missing_ok=True)
        if path is None:
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()

    def _enqueue(self, scope: Scope, library_id: str, document_id: str) -> None:
        self._waiting[library_id] += 1
        self._queue.put_nowait((scope, library_id, document_id))

    async def _take(self, scope: Scope, library_id: str, document_id: str) -> None:
        row = await self._ingestion.aside(self._row, scope, library_id, document_id)
        if row.state != "pending":
            return
        home = Home(scope, library_id, None)
        known = Known(document_id, row.path, row.signature, row.content_hash, row.state)
        folder = self._folder / library_id
        try:
            content = await self._ingestion.aside(files.read, folder.resolve(), row.path)
        except (FileNotFoundError, UnreadableDocument) as e:
            message = "The stored file is gone." if isinstance(e, FileNotFoundError) else str(e)
            empty = Content(b"", "", "")
            await self._ingestion.fail(home, known, row.path, row.name, empty, message)
            return
        about = About(media_type=row.media_type, metadata=row.attributes)
        await self._ingestion.take(home, known, row.path, row.name, content, about=about)

    def _store(
        self,
        scope: Scope,
        library_id: str,
        name: str,
        data: bytes,
        said: Said,
        *,
        replace: bool,
    ) -> str:
        """Write the file, then the row; runs on the writing thread."""
        database = self._ingestion.index.database
        with database.read() as session:
            repository.library(session, scope, library_id)
            rows = [
                row
                for row in repository.uploads(session, scope, library_id)
                if replace and row.name == name
            ]
            lists = access_marks(session, scope, [row.id for row in rows])
        old = next((row for row in rows if may_read(scope, lists[row.id])), None)
        document_id = old.id if old else new_id("doc")
        path = f"{new_id('file')}{Path(name).suffix.lower()}"
        self._write(library_id, path, data)
        if old is not None:
            values: dict[str, Any] = {"path": path, "size": len(data)}
            if said.metadata is not None:
                values["attributes"] = said.metadata
            self._ingestion.index.set_document(
                scope, document_id, **values, state="pending", message=""
            )
            if said.access is not None:
                self._ingestion.index.set_access(scope, library_id, document_id, said.access)
            self.remove(library_id, old.path)
            return document_id
        self._insert(scope, library_id, document_id, path, name, len(data), said)
        return document_id

    def _insert(
        self,
        scope: Scope,
        library_id: str,
        document_id: str,
        path: str,
        name: str,
        size: int,
        said: Said,
    ) -> None:
        now = self._ingestion.index.clock.now()
        with self._ingestion.index.database.write() as session:
            session.add(
                DocumentRow(
                    id=document_id,
                    workspace_id=scope.workspace_id,
                    library_id=library_id,
                    source_id=None,
                    path=path,
                    name=name,
                    media_type=files.media_type(name),
                    size=size,
                    version=1,
                    state="pending",
                    message="",
                    signature="",
                    content_hash="",
                    text="",
                    attributes=said.metadata or {},
                    access_id=access_id(session, scope, said.access),
                    access_by_hand=said.access is not None,
                    created_at=now,
                    updated_at=now,
                )
            )

    def _write(self, library_id: str, path: str, data: bytes) -> None:
        folder = self._folder / library_id
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with (folder / path).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as e:
            with contextlib.suppress(OSError):
                (folder / path).unlink(missing_ok=True)
            raise StorageFull(f"The file was not stored: {e.strerror}.") from e

    def _row(self, scope: Scope, library_id: str, document_id: str) -> DocumentRow:
        with self._ingestion.index.database.read() as session:
            return repository.document(session, scope, library_id, document_id)

    def _left_over(self) -> list[tuple[Scope, str, str]]:
        waiting: list[tuple[Scope, str, str]] = []
        with self._ingestion.index.database.read() as session:
            for library_id, workspace_id in repository.places(session):
                scope = Scope(workspace_id=workspace_id)
                waiting.extend(
                    (scope, library_id, row.id)
                    for row in repository.uploads(session, scope, library_id)
                    if row.state == "pending"
                )
        return waiting


def _checked_name(name: str) -> str:
    """The last part of a file name, as browsers send it.

    Raises:
        BadRequest: nothing is left of it, or its kind is not read.
    """
    name = name.replace("\\", "/").rsplit("/", 1)[-1].strip()[:255]
    if not name or name.startswith(".") or not name.isprintable():
        raise BadRequest("The file needs a name. Give it one and add it again.", param="file")
    if files.media_type(name) is None:
        kinds = ", ".join(sorted(MEDIA_TYPES))
        raise BadRequest(
            f"{name} is of a kind that is not read. Add one of: {kinds}.", param="file"
        )
    return name
