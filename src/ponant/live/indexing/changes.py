"""What goes into a library's next version, and what is told of it afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from ponant.live.indexing.languages import language_of
from ponant.live.indexing.vectors import Placed
from ponant.live.reading.chunking import Chunk
from ponant.live.sources.port import About

Vector = NDArray[np.float32]
DocumentChange = tuple[str, str, Literal["added", "updated", "deleted"]]


@dataclass(frozen=True)
class Reading:
    """A file as it was read: what the file system said, its bytes' hash, its text in pieces."""

    path: str
    name: str
    media_type: str
    size: int
    signature: str
    content_hash: str
    text: str
    chunks: Sequence[Chunk]
    about: About = field(default_factory=About)

    @cached_property
    def language(self) -> str:
        """The likeliest one, whose stems its keywords become."""
        return language_of(self.text)


@dataclass(frozen=True, slots=True)
class Moved:
    """A library reached a new version.

    Attributes:
        documents: id, name and what happened; the name is left out of those that not everybody
            may read, since everybody is told.
        added: rows of passages that are new in it.
        removed: rows of passages that are no longer in it.
        embedded: rows that are found by meaning from this version on.
        lacking: how many of the new passages have no vector yet.
        withdrawn: ids of passages and documents that may not be shown any more to whom they were.
    """

    library_id: str
    version: int
    as_of: datetime
    documents: tuple[DocumentChange, ...] = ()
    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    embedded: tuple[int, ...] = ()
    lacking: int = 0
    withdrawn: tuple[str, ...] = ()


@dataclass(slots=True)
class Move:
    """A transaction on its way to a library's next version.

    Attributes:
        removed: passage rows that go.
        added: passage rows that come.
        vectors: vectors that come, by passage row, each with its document's id.
        access: the access list (0 is everybody's) of documents that come or change theirs.
    """

    session: Session
    library_id: str
    version: int
    now: datetime
    removed: list[int] = field(default_factory=list)
    added: list[int] = field(default_factory=list)
    vectors: dict[int, Placed] = field(default_factory=dict)
    access: dict[str, int] = field(default_factory=dict)
    documents: list[DocumentChange] = field(default_factory=list)
    lacking: int = 0
    withdrawn: list[str] = field(default_factory=list)

    def tell(
        self,
        document_id: str,
        name: str,
        what: Literal["added", "updated", "deleted"],
        access_id: int | None,
    ) -> None:
        """Note what happened to a document; its name only where everybody may read it."""
        self.documents.append((document_id, name if access_id is None else "", what))

    @property
    def moved(self) -> Moved:
        return Moved(
            library_id=self.library_id,
            version=self.version,
            as_of=self.now,
            documents=tuple(self.documents),
            added=tuple(self.added),
            removed=tuple(self.removed),
            embedded=tuple(self.vectors),
            lacking=self.lacking,
            withdrawn=tuple(self.withdrawn),
        )
