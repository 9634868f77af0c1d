"""What watches are, and what is told of them."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from ponant.assistant.schemas import Source

Kind = Literal["question", "search", "sql"]
State = Literal["answering", "in_step", "paused"]
DeliveryState = Literal["due", "done", "dead"]
Happening = Literal["answered", "changed", "stands", "paused", "resumed"]

ID_PREFIX = "wat"
SETTLE_SECONDS = 5.0
EVERY_SECONDS = 60.0
DAILY_CALLS = 500
MOST_SETTLING = 3600.0
MOST_APART = 86_400.0
MOST_DAILY_CALLS = 100_000


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a watch says now: text with its citations, passages, or rows.

    Attributes:
        content: the text of an answered question, with the sources it cites in their places.
        passages: what a kept search finds.
        rows: what a kept statement in SQL gives, by column.
        tables: what the rows were made from.
        withheld: whether rows are left out, since the owner may no longer ask one of the tables.
    """

    content: tuple[str | Source, ...] = ()
    passages: tuple[Source, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    tables: tuple[str, ...] = ()
    withheld: bool = False

    @property
    def text(self) -> str:
        """The answer without its citations."""
        return "".join(piece for piece in self.content if isinstance(piece, str)).strip()

    @property
    def cited(self) -> tuple[Source, ...]:
        """Each source that the answer cites, once."""
        found = {one.passage_id: one for one in self.content if isinstance(one, Source)}
        return tuple(found.values())


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to be kept answered.

    Attributes:
        query: the question, the search or the statement.
        settle: seconds from the first change to the answer, in which others join it.
        every: seconds between two answers, at least.
        daily_calls: requests to a model in one day (UTC), at most; then it pauses to the next.
        webhook: address that is told of changes; signed with the watch's secret.
    """

    kind: Kind
    query: str
    name: str = ""
    model: str = ""
    library_ids: tuple[str, ...] = ()
    limit: int = 8
    settle: float = SETTLE_SECONDS
    every: float = EVERY_SECONDS
    daily_calls: int = DAILY_CALLS
    webhook: str | None = None

    @property
    def asks(self) -> tuple[object, ...]:
        """What the answer depends on."""
        return self.kind, self.query, self.model, self.library_ids, self.limit


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """A watch as its owner sees it.

    Attributes:
        key_id: the key that it was made with, whose revocation pauses it.
        reason: why it is paused, or what it waits for, and the mend.
        by_owner: whether it is paused because its owner said so.
        evidence: every passage that the answer was made from, cited or not.
        shown: what a model was shown of each passage for the answer, by name.
        version, as_of: of the libraries when it was last answered, or found to stand.
        marks: what access lists called its owner by when it was last answered.
        calls: requests to a model so far; ``calls_today`` of them on ``day``.
    """

    id: str
    setup: Setup
    created_at: datetime
    key_id: str | None = None
    state: State = "answering"
    reason: str = ""
    by_owner: bool = False
    answer: Answer | None = None
    evidence: tuple[Source, ...] = ()
    shown: dict[str, str] = {}
    version: int = 0
    as_of: datetime | None = None
    answered_at: datetime | None = None
    changed_at: datetime | None = None
    marks: tuple[str, ...] = ()
    calls: int = 0
    calls_today: int = 0
    day: str = ""

    @property
    def cited(self) -> tuple[Source, ...]:
        """The passages that the answer cites."""
        return self.answer.cited if self.answer is not None else ()


class MovedPassage(msgspec.Struct, frozen=True, kw_only=True):
    """A passage that came among the evidence, left it, or reads otherwise now.

    Attributes:
        what: ``left`` is one that is still there and that others outrank now.
        before: what it said; None where it is new, or its reader may not read it any more.
        after: what it says; None where it is gone.
    """

    what: Literal["added", "changed", "removed", "left"]
    library_id: str
    document_id: str
    document_name: str
    heading: str
    passage_id: str
    before: str | None = None
    after: str | None = None


class WatchEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a watch.

    Attributes:
        id: names the event wherever it is delivered; the same id is the same event.
        number: counts all events of the installation; a reader goes on after the last it saw.
        happening: ``answered`` is the first answer, ``changed`` one whose facts differ; with
            ``stands`` the evidence moved and the answer did not.
        reason: why the facts count as other ones, or why the watch paused.
    """

    id: str
    watch_id: str
    happening: Happening
    at: datetime
    number: int = 0
    old: Answer | None = None
    new: Answer | None = None
    moved: tuple[MovedPassage, ...] = ()
    version: int = 0
    as_of: datetime | None = None
    reason: str = ""
    calls: int = 0


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way to a webhook."""

    event_id: str
    watch_id: str
    attempts: int
    next_at: datetime
    state: DeliveryState = "due"
    error: str = ""
