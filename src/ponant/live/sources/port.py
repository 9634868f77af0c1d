"""The contract of a source: what it tells the follower that keeps a library in step with it.

A source that can be listed (a folder, a bucket, a mailbox) yields batches that are ``complete``:
what is not in them is gone. A source that is a log (a queue, a replication slot) yields changes in
their order, each with the cursor to go on from once it is stored. A source is asked for its next
batch only when the last is stored, so what it may run ahead is bounded by one batch.
"""

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from ponant.live.port import MetadataValue

Cursor = dict[str, Any]
"""Where a source goes on; plain JSON that only its kind understands."""


class SourceFault(Exception):
    """A source that cannot be read now; the message says what happened and what to do.

    Attributes:
        retry_after: seconds until it is worth another try; None leaves it to the follower.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after


class SignInRefused(SourceFault):
    """A source that does not let in who signs in there; another password or key mends it."""


@dataclass(frozen=True, slots=True)
class Content:
    """A document as bytes; ``signature`` is what they were read under, "" while they may change."""

    data: bytes
    hash: str
    signature: str

    @classmethod
    def of(cls, data: bytes, signature: str) -> "Content":
        return cls(data, hashlib.sha256(data).hexdigest(), signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a source says of a document besides its content.

    Attributes:
        media_type: None goes by the name's ending.
        access: marks of who may read it; None is everybody who may read the library.
        source_version: the number that a pushed document came under.
    """

    media_type: str | None = None
    url: str | None = None
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    access: tuple[str, ...] | None = None
    source_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A document that is there now.

    Attributes:
        key: its stable name within the source, shown as its path.
        signature: equal ones mean that nothing changed; "" where that cannot be told.
        read: fetches it, when it is new; FileNotFoundError where it went meanwhile,
            `ponant.live.reading.parsing.UnreadableDocument` where it alone cannot be read.
        media_type: None goes by the name's ending.
        access: marks of who may read it; None is everybody who may read the library.
        cursor: where the source goes on once this is stored.
        urgent: an event told of it: it comes first, and is read whatever its signature.
        source_version: the number that a pushed document came under.
    """

    key: str
    signature: str
    name: str
    read: Callable[[], Awaitable[Content]]
    media_type: str | None = None
    url: str | None = None
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    access: tuple[str, ...] | None = None
    cursor: Cursor | None = None
    urgent: bool = False
    source_version: int | None = None

    @property
    def about(self) -> About:
        """What is stored beside the content."""
        return About(
            media_type=self.media_type,
            url=self.url,
            metadata=self.metadata,
            access=self.access,
            source_version=self.source_version,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A document that is there no longer."""

    key: str
    cursor: Cursor | None = None
    source_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a source saw in one look, or a piece of its log.

    Attributes:
        complete: known documents that are not among the changes are gone.
        cursor: stored once the whole batch is.
        remark: a sentence to show beside the state, such as what was left out and why.
        empty: what to show, as an error, where a complete batch holds no document.
        identity: turns a signature into what stays the same when a document only moves; None
            where moves cannot be told from a deletion and a new document.
        stale: whether a newer look is worth more than the rest of this one; what is left of a
            batch that was given up comes with a later one.
        newer: what little changed since this look, to be taken in before the rest of it; None
            where nothing did, or where only a look at everything can tell.
        seen: how many documents the source has, where the changes do not tell.
        waiting: how many are known to follow in later batches.
        kept: the place has it all when it is asked again, so that the next batch need not wait
            until the disk has this one.
    """

    changes: Sequence[Found | Gone]
    complete: bool
    cursor: Cursor | None = None
    remark: str = ""
    empty: str = ""
    identity: Callable[[str], str] | None = None
    stale: Callable[[], bool] | None = None
    newer: "Callable[[], Awaitable[Batch | None]] | None" = None
    seen: int | None = None
    waiting: int = 0
    kept: bool = False


class DocumentSource(Protocol):
    """One place that documents come from."""

    @property
    def interval(self) -> float | None:
        """Seconds between two looks where it is polled; None where it is told of changes."""
        ...

    def batches(self, cursor: Cursor | None) -> AsyncGenerator[Batch]:
        """Yield for as long as it is followed; the waiting between two looks is done in here.

        Args:
            cursor: the last that was stored, or None at the first time.

        Raises:
            SourceFault: it cannot be reached or read; the follower shows it and tries again.
        """
        ...


@runtime_checkable
class Leaving(Protocol):
    """A source that leaves something behind where it reads, such as a replication slot."""

    async def forget(self) -> None:
        """Clear that away, since the source is removed.

        Raises:
            SourceFault: it cannot be reached.
        """
        ...
