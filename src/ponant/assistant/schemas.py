"""What conversations are made of, and what happens while one is answered."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from ponant.engine import Usage
from ponant.kit import PonantError
from ponant.live.port import Hit
from ponant.serving.port import Controls
from ponant.text.messages import Role

AnswerState = Literal["done", "stopped", "failed"]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A passage that was found for an answer, under the number that it is cited by.

    ``hash`` names the text as it was then: an answer is out of date when it is not the same now.

    Attributes:
        readers: names the access list that it stood under; "" where everybody could read it.
        withheld: whether name and text are left out, since the document is gone, or the reader may
            not read it any more.
        closed: whether it is the second.
    """

    number: int
    passage_id: str
    hash: str
    library_id: str
    document_id: str
    document_name: str
    document_version: int
    heading: str
    text: str
    start: int
    end: int
    readers: str = ""
    withheld: bool = False
    closed: bool = False

    @classmethod
    def of(cls, number: int, hit: Hit) -> "Source":
        names = ("passage_id", "hash", "library_id", "document_id", "document_name")
        more = ("document_version", "heading", "text", "start", "end", "readers")
        return cls(number=number, **{name: getattr(hit, name) for name in (*names, *more)})


class Said(msgspec.Struct, frozen=True, kw_only=True, tag="said"):
    """Something that a person or a client put into the conversation."""

    role: Role
    text: str


class Searched(msgspec.Struct, frozen=True, kw_only=True, tag="searched"):
    """A search for an answer, and all that it found."""

    query: str
    sources: tuple[Source, ...]
    version: int
    as_of: datetime


class Answered(msgspec.Struct, frozen=True, kw_only=True, tag="answered"):
    """An answer: text with the sources it cites in their places.

    ``forgotten`` counts the earlier entries that did not fit the model's context.
    """

    model: str
    content: tuple[str | Source, ...]
    state: AnswerState = "done"
    forgotten: int = 0
    tokens_per_second: float | None = None

    @property
    def text(self) -> str:
        """What was said, without its citations."""
        joined = "".join(piece for piece in self.content if isinstance(piece, str))
        return "\n".join(line.rstrip() for line in joined.splitlines())

    @property
    def withheld(self) -> bool:
        """Whether it rests on a document that is gone or closed to its reader since."""
        return any(isinstance(piece, Source) and piece.withheld for piece in self.content)


Content = Said | Searched | Answered


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing in a conversation, in the order of its position."""

    id: str
    content: Content
    created_at: datetime
    completed_at: datetime | None = None


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as its holder set it up."""

    id: str
    name: str
    description: str | None
    model: str
    instructions: str | None
    library_ids: tuple[str, ...]
    completion_args: dict[str, Any]
    extra: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """How a new conversation is to be held."""

    model: str
    library_ids: tuple[str, ...] = ()
    instructions: str | None = None
    name: str | None = None
    description: str | None = None
    completion_args: dict[str, Any] = {}
    extra: dict[str, Any] = {}


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What is put into a conversation to be answered.

    Attributes:
        inputs: the messages, the last of which is the question.
        controls: how to generate this answer.
        own_temperature: whether the caller chose the temperature; answers from passages are
            greedy where not.
        keep: whether the conversation is still there after the answer.
    """

    inputs: tuple[Said, ...]
    controls: Controls = Controls()
    own_temperature: bool = False
    keep: bool = True


def joined(pieces: Sequence[str | Source]) -> tuple[str | Source, ...]:
    """The pieces of an answer with neighbouring texts made one."""
    made: list[str | Source] = []
    for piece in pieces:
        last = made[-1] if made else None
        if isinstance(piece, str) and isinstance(last, str):
            made[-1] = last + piece
        else:
            made.append(piece)
    return tuple(made)


class Started(msgspec.Struct, frozen=True, kw_only=True):
    conversation_id: str
    at: datetime


class SearchStarted(msgspec.Struct, frozen=True, kw_only=True):
    entry_id: str
    query: str
    at: datetime


class SearchDone(msgspec.Struct, frozen=True, kw_only=True):
    entry_id: str
    found: Searched
    at: datetime


class Spoken(msgspec.Struct, frozen=True, kw_only=True):
    """The next piece of the answer: text, or a citation behind the sentence before it."""

    entry_id: str
    model: str
    piece: str | Source
    output_index: int
    content_index: int
    at: datetime


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The end of an answer; ``cited`` holds each source once, by number."""

    usage: Usage
    cited: tuple[Source, ...]
    tokens_per_second: float | None
    state: AnswerState
    forgotten: int
    at: datetime


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The end of an answer that could not be given, and why."""

    fault: PonantError
    at: datetime


Event = Started | SearchStarted | SearchDone | Spoken | Done | Failed
