"""Uploaded files: the bytes under PONANT_HOME, what they are in the database."""

import contextlib
import mimetypes
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import delete, func, select

from ponant.files.tables import FileRow
from ponant.kit import Clock, new_id
from ponant.kit.errors import BadRequest, NotFound, StorageFull
from ponant.store import Database, Scope, in_scope

LARGEST = 100 * 2**20  # bytes
_MOST_FILES = 10_000  # of one person
_LONGEST_NAME = 255
_LONGEST_PURPOSE = 64
_FOLDER = "files"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as it was uploaded; ``size`` in bytes."""

    id: str
    name: str
    size: int
    purpose: str
    media_type: str
    created_at: datetime


class Files:
    """Keeps files, each for the person who uploaded it. Waits for the disk: call it in a thread."""

    def __init__(self, home: Path, database: Database, clock: Clock) -> None:
        self._folder = home / _FOLDER
        self._database = database
        self._clock = clock

    def add(self, scope: Scope, name: str, data: bytes, purpose: str) -> StoredFile:
        """Keep a file; it is on disk when this returns.

        Raises:
            BadRequest: it has no name, is too large, or is one too many.
            StorageFull: there is no room for it.
        """
        name = name.replace("\\", "/").rsplit("/", 1)[-1].strip()[:_LONGEST_NAME]
        if not name or not name.isprintable():
            raise BadRequest("The file needs a name. Give it one and send it again.", param="file")
        if len(data) > LARGEST:
            raise BadRequest(f"The most is {LARGEST // 2**20} MiB.", param="file")
        if not purpose.isprintable() or len(purpose) > _LONGEST_PURPOSE:
            raise BadRequest("That is no purpose. Try `assistants`.", param="purpose")
        made = StoredFile(
            id=new_id("file"),
            name=name,
            size=len(data),
            purpose=purpose,
            media_type=mimetypes.guess_type(name)[0] or "application/octet-stream",
            created_at=self._clock.now(),
        )
        self._write(made.id, data)
        try:
            self._note(scope, made)
        except BaseException:
            self._path(made.id).unlink(missing_ok=True)
            raise
        return made

    def list(self, scope: Scope, purpose: str | None = None) -> list[StoredFile]:
        """The caller's files, the latest first."""
        statement = select(FileRow).where(in_scope(FileRow, scope)).order_by(FileRow.id.desc())
        if purpose is not None:
            statement = statement.where(FileRow.purpose == purpose)
        with self._database.read() as session:
            return [_stored(row) for row in session.scalars(statement)]

    def get(self, scope: Scope, file_id: str) -> StoredFile:
        """One of the caller's files; NotFound where it is not."""
        statement = select(FileRow).where(FileRow.id == file_id, in_scope(FileRow, scope))
        with self._database.read() as session:
            row = session.scalar(statement)
        if row is None:
            raise NotFound(f"There is no file {file_id}, or it is not yours.")
        return _stored(row)

    def content(self, scope: Scope, file_id: str) -> bytes:
        """The bytes as they were uploaded."""
        found = self.get(scope, file_id)
        try:
            return self._path(found.id).read_bytes()
        except FileNotFoundError as e:
            raise NotFound(f"The content of {file_id} is not there any more.") from e

    def remove(self, scope: Scope, file_id: str) -> None:
        """Delete one of the caller's files; NotFound where it is not there."""
        found = self.get(scope, file_id)
        with self._database.write() as session:
            session.execute(delete(FileRow).where(FileRow.id == found.id, in_scope(FileRow, scope)))
        self._path(found.id).unlink(missing_ok=True)

    def _note(self, scope: Scope, made: StoredFile) -> None:
        count = select(func.count()).select_from(FileRow).where(in_scope(FileRow, scope))
        with self._database.write() as session:
            if (session.scalar(count) or 0) >= _MOST_FILES:
                raise BadRequest(f"You have {_MOST_FILES} files. Delete some first.")
            session.add(
                FileRow(
                    id=made.id,
                    workspace_id=scope.workspace_id,
                    person_id=scope.person_id,
                    name=made.name,
                    size=made.size,
                    purpose=made.purpose,
                    media_type=made.media_type,
                    created_at=made.created_at,
                )
            )

    def _write(self, file_id: str, data: bytes) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._path(file_id).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as e:
            with contextlib.suppress(OSError):
                self._path(file_id).unlink(missing_ok=True)
            raise StorageFull(f"The file was not stored: {e.strerror}.") from e

    def _path(self, file_id: str) -> Path:
        return self._folder / file_id


def _stored(row: FileRow) -> StoredFile:
    return StoredFile(
        id=row.id,
        name=row.name,
        size=row.size,
        purpose=row.purpose,
        media_type=row.media_type,
        created_at=row.created_at,
    )
