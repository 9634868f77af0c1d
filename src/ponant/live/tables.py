"""The tables of live.db.

Two of them are read before any scope is known: the folders that sources may lie in, and the
workspace that each library is in. The keyword index is in FTS5 tables (see `indexing.keywords`)
whose rows carry a passage's row id; a trigger removes keywords and unused vectors together with a
passage.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from ponant.store import Base, ScopeKind, UtcDateTime


class RootRow(Base):
    """A folder that sources may lie in, added by the command line."""

    __tablename__ = "live_roots"
    __scope__ = ScopeKind.PLATFORM

    path: Mapped[str] = mapped_column(primary_key=True)
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PlaceRow(Base):
    """Where a library is: what the process needs to start its sources.

    ``generation`` is the way that its text was laid out for keywords when it was made.
    """

    __tablename__ = "live_places"
    __scope__ = ScopeKind.PLATFORM

    library_id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    generation: Mapped[int]


class LibraryRow(Base):
    __tablename__ = "live_libraries"
    __scope__ = ScopeKind.WORKSPACE

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    owner_id: Mapped[str | None]
    name: Mapped[str]
    description: Mapped[str]
    version: Mapped[int]
    passages: Mapped[int] = mapped_column(default=0)
    as_of: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SourceRow(Base):
    __tablename__ = "live_sources"
    __scope__ = ScopeKind.WORKSPACE

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    library_id: Mapped[str] = mapped_column(ForeignKey("live_libraries.id", ondelete="CASCADE"))
    kind: Mapped[str]
    config: Mapped[dict[str, Any]] = mapped_column(JSON)
    secrets: Mapped[dict[str, str]] = mapped_column(JSON, deferred=True, default=dict)
    cursor: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    trusted: Mapped[bool] = mapped_column(default=False)  # declared on the command line
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class AccessRow(Base):
    """Marks that documents stand under; ``name`` is the fingerprint of the sorted marks."""

    __tablename__ = "live_access"
    __scope__ = ScopeKind.WORKSPACE

    id: Mapped[int] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    name: Mapped[str]
    marks: Mapped[list[str]] = mapped_column(JSON)


class MarkRow(Base):
    """One mark of an access list, so that the lists somebody stands on are found at once."""

    __tablename__ = "live_marks"
    __scope__ = ScopeKind.WORKSPACE

    workspace_id: Mapped[str] = mapped_column(primary_key=True)
    mark: Mapped[str] = mapped_column(primary_key=True)
    access_id: Mapped[int] = mapped_column(
        ForeignKey("live_access.id", ondelete="CASCADE"), primary_key=True
    )


class DocumentRow(Base):
    """A file as last read. ``signature`` is what the file system said of it at that time.

    ``access_id`` is None where everybody who may read the library may read it. Where a list was
    set by hand (``access_by_hand``), what the source says of access no longer counts.
    """

    __tablename__ = "live_documents"
    __scope__ = ScopeKind.WORKSPACE

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    library_id: Mapped[str] = mapped_column(ForeignKey("live_libraries.id", ondelete="CASCADE"))
    source_id: Mapped[str | None] = mapped_column(ForeignKey("live_sources.id", ondelete="CASCADE"))
    path: Mapped[str]
    name: Mapped[str]
    media_type: Mapped[str]
    size: Mapped[int]
    version: Mapped[int]
    state: Mapped[str]
    message: Mapped[str]
    signature: Mapped[str]
    content_hash: Mapped[str]
    language: Mapped[str] = mapped_column(default="")  # of its keywords; its stemmer's name
    text: Mapped[str] = mapped_column(deferred=True)
    url: Mapped[str | None]
    # Named so since `metadata` is taken by SQLAlchemy.
    attributes: Mapped[dict[str, Any]] = mapped_column("metadata", JSON, default=dict)
    access_id: Mapped[int | None]
    access_by_hand: Mapped[bool] = mapped_column(default=False)
    source_version: Mapped[int | None]  # of a pushed document; an older one changes nothing
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class WordsRow(Base):
    """How a library's text is laid out in the keyword index."""

    __tablename__ = "live_words"
    __scope__ = ScopeKind.WORKSPACE

    number: Mapped[int] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    library_id: Mapped[str] = mapped_column(
        ForeignKey("live_libraries.id", ondelete="CASCADE"), unique=True
    )
    generation: Mapped[int]
    languages: Mapped[list[str]] = mapped_column(JSON)


class PassageRow(Base):
    """A piece of a document's text. ``input_hash`` names what is embedded: heading and text."""

    __tablename__ = "live_passages"
    __scope__ = ScopeKind.WORKSPACE

    id: Mapped[int] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    library_id: Mapped[str] = mapped_column(ForeignKey("live_libraries.id", ondelete="CASCADE"))
    document_id: Mapped[str] = mapped_column(ForeignKey("live_documents.id", ondelete="CASCADE"))
    passage_id: Mapped[str] = mapped_column(unique=True)
    hash: Mapped[str]
    input_hash: Mapped[str]
    embedded_by: Mapped[str | None]
    position: Mapped[int]
    start: Mapped[int]
    end: Mapped[int]
    heading: Mapped[str]
    text: Mapped[str]


class VectorRow(Base):
    """An embedding, kept under what was embedded and by which embedder; float32 bytes.

    It outlives its last passage for a while (``live_spare``), so that an undo costs none.
    """

    __tablename__ = "live_vectors"
    __scope__ = ScopeKind.WORKSPACE

    workspace_id: Mapped[str] = mapped_column(primary_key=True)
    input_hash: Mapped[str] = mapped_column(primary_key=True)
    identity: Mapped[str] = mapped_column(primary_key=True)
    vector: Mapped[bytes]


class TombstoneRow(Base):
    """What became of a passage that is no longer there; without its text."""

    __tablename__ = "live_tombstones"
    __scope__ = ScopeKind.WORKSPACE

    passage_id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    library_id: Mapped[str]
    document_id: Mapped[str]
    state: Mapped[str]
    at: Mapped[datetime] = mapped_column(UtcDateTime)
