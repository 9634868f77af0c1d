"""The contract of live knowledge: what sources, the API and the assistant say to each other."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """How a library stands to its sources at ``as_of``."""

    state: Literal["in_step", "syncing", "error"]
    version: int
    as_of: datetime
    pending: int = 0
    message: str = ""


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """A named collection of documents in one workspace."""

    id: str
    name: str
    description: str
    created_at: datetime
    updated_at: datetime
    owner_id: str | None = None
    documents: int
    total_size: int
    freshness: Freshness


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The library over the folder that ships with Ponant, and where its copy lies."""

    library: Library
    path: str


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a library's documents come from, and what it sees there now.

    Attributes:
        config: without its secrets.
        message: what is wrong and its mend, or what else is worth knowing.
        refused: whether it is in error since what it signs in with was refused, or is lost.
        seen: documents that the source has now.
        parsed: of them, read into text.
        embedded: of them, found by meaning too.
        rate: documents a second in the run that goes on; 0 when in step.
        seconds_left: estimate for the run that goes on.
        interval: seconds between two looks where the source is polled.
    """

    id: str
    library_id: str
    kind: str
    config: dict[str, Any]
    created_at: datetime
    state: Literal["in_step", "syncing", "error"]
    message: str
    seen: int
    indexed: int
    failed: int
    checked_at: datetime | None
    pending: int = 0
    parsed: int = 0
    embedded: int = 0
    refused: bool = False
    rate: float = 0.0
    seconds_left: float | None = None
    interval: float | None = None


DocumentState = Literal["indexed", "failed", "pending"]
MetadataValue = str | int | float | bool | list[str]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it was last read; ``version`` counts from 1.

    Attributes:
        access: the marks of who may read it (see `Scope.marks`); None is everybody who may read
            the library.
    """

    id: str
    library_id: str
    source_id: str | None
    name: str
    path: str
    media_type: str
    size: int
    version: int
    state: DocumentState
    message: str
    created_at: datetime
    updated_at: datetime
    url: str | None = None
    metadata: dict[str, MetadataValue] = {}
    access: tuple[str, ...] | None = None


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A passage that a search found. ``hash`` names its text; it changes when the text does."""

    passage_id: str
    hash: str
    library_id: str
    document_id: str
    document_name: str
    document_version: int
    text: str
    start: int  # characters into the document's text
    end: int
    heading: str
    score: float
    keyword_rank: int | None
    vector_rank: int | None
    as_of: datetime | None = None
    library_version: int = 0
    url: str | None = None
    metadata: dict[str, MetadataValue] = {}
    source_id: str | None = None  # that its document came from; None is by hand
    readers: str = ""  # names the access list that it stands under; "" where everybody may read it
    before: str = ""  # the neighbours' text, where it was asked for
    after: str = ""
    highlights: tuple[tuple[int, int], ...] = ()  # characters into ``text``
    rerank_score: float | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A condition on a document's metadata, in the form of OpenAI's vector stores.

    ``name``, ``path``, ``media_type``, ``source`` and ``url`` may be asked for like metadata.
    """

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    key: str
    value: str | int | float | bool | list[str | int | float]


class Compound(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Conditions of which all, or any, must hold; deeper ones are compounds again."""

    type: Literal["and", "or"]
    filters: tuple[dict[str, Any], ...]


class SearchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to search.

    Attributes:
        mode: by keywords and meaning, or by one of them.
        filters: a `Comparison` or a `Compound`, as plain objects.
        rerank: let a cross-encoder order the candidates, where one is installed.
        neighbours: passages before and after each hit to bring along.
        highlights: tell where the words of the query stand.
        at_least: library id to the version that must be reached first (read your own writes).
        wait: seconds to wait for it.
        min_score: leave out hits below this similarity or rerank score.
    """

    mode: Literal["hybrid", "keyword", "vector"] = "hybrid"
    filters: dict[str, Any] | None = None
    rerank: bool = False
    neighbours: int = 0
    highlights: bool = False
    at_least: dict[str, int] = {}
    wait: float = 10.0
    min_score: float | None = None


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """Hits from the likeliest down, all of one version of each library (``versions``)."""

    hits: tuple[Hit, ...]
    version: int
    as_of: datetime
    versions: dict[str, int] = {}


class PassageState(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a passage that an answer rests on."""

    id: str
    state: Literal["current", "changed", "gone"]
    changed_at: datetime | None


class PassageRef(msgspec.Struct, frozen=True, kw_only=True):
    """A passage as an answer remembers it."""

    id: str
    hash: str


class PassageView(msgspec.Struct, frozen=True, kw_only=True):
    """A passage in its document: ``text`` is the whole document, ``passage`` points into it."""

    passage: Hit
    document: Document
    text: str


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that a source may be declared in."""

    name: str
    path: str


class FolderListing(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in a folder inside the allowed roots; ``path`` None lists the roots."""

    path: str | None
    parent: str | None
    folders: tuple[Folder, ...]
    roots: tuple[str, ...]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How the live process fares."""

    libraries: int
    documents: int
    passages: int
    embedder: str | None  # identity, or None where search goes by keywords alone
    watching: int


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a source is, for those who listen; see `Source`."""

    id: str
    kind: str
    state: Literal["in_step", "syncing", "error"]
    message: str
    seen: int
    indexed: int
    failed: int
    pending: int
    rate: float
    seconds_left: float | None
    interval: float | None
    refused: bool = False
    parsed: int = 0
    embedded: int = 0


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Told to those who listen after a library moved to a new version."""

    workspace_id: str
    library_id: str
    version: int
    as_of: datetime
    documents: tuple[tuple[str, str, Literal["added", "updated", "deleted"]], ...]  # id, name, what
    freshness: Freshness
    sources: tuple[Progress, ...] = ()


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Told to those who listen when something in a room of live knowledge is worth a look.

    Attributes:
        part: the room, such as ``standing``.
        keys: of what is worth it, by the room's own names.
    """

    part: str
    workspace_id: str
    keys: tuple[str, ...]


class Embedder(Protocol):
    """Turns text into vectors; ``identity`` changes whenever the vectors would."""

    @property
    def identity(self) -> str: ...

    @property
    def max_tokens(self) -> int: ...

    async def embed(
        self, texts: Sequence[str], kind: Literal["query", "passage"]
    ) -> NDArray[np.float32]: ...

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How long each is to this embedder, to be held against ``max_tokens``."""
        ...
