"""The tables of uploaded files, and of what vector stores keep beside the library they are."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from ponant.store import Base, ScopeKind, UtcDateTime


class FileRow(Base):
    """An uploaded file, which is its person's alone."""

    __tablename__ = "files"
    __scope__ = ScopeKind.PERSON

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    person_id: Mapped[str]
    name: Mapped[str]
    size: Mapped[int]
    purpose: Mapped[str]
    media_type: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ShelfRow(Base):
    """What a vector store has that a library has not."""

    __tablename__ = "vector_stores"
    __scope__ = ScopeKind.WORKSPACE

    library_id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class AttachedRow(Base):
    """A file that was put into a vector store, and the document that it is there."""

    __tablename__ = "vector_store_files"
    __scope__ = ScopeKind.WORKSPACE

    library_id: Mapped[str] = mapped_column(primary_key=True)
    file_id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    document_id: Mapped[str] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class BatchRow(Base):
    """Files that were put into a vector store together."""

    __tablename__ = "vector_store_batches"
    __scope__ = ScopeKind.WORKSPACE

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    library_id: Mapped[str]
    file_ids: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
