"""What conversations keep of documents, shown only while the reader may read the documents.

A search or a citation is stored with the passage's text. Where the document was deleted since, or
closed to the reader, name and text stay in the database and are handed out no more: not in a
history, not in the events of an answer that is read again, and not to a model.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ponant.assistant.port import Knowledge
from ponant.assistant.schemas import (
    Answered,
    Content,
    Done,
    Entry,
    Event,
    SearchDone,
    Searched,
    Source,
    Spoken,
)
from ponant.store import Scope

NO_NAME = "(no longer here)"
_CLOSED = "(you may no longer read this)"

Closed = Mapping[str, bool]
"""Documents that are not to be shown: whether they are closed to the reader, or else gone."""


async def entries(live: Knowledge, scope: Scope, stored: Sequence[Entry]) -> list[Entry]:
    """Entries as their reader may see them now."""
    closed = await closed_of(live, scope, [one for entry in stored for one in _in(entry.content)])
    if not closed:
        return list(stored)
    return [
        msgspec.structs.replace(entry, content=_without(entry.content, closed)) for entry in stored
    ]


async def event(live: Knowledge, scope: Scope, told: Event) -> Event:
    """An event as its reader may see it now."""
    match told:
        case SearchDone(found=found):
            if closed := await closed_of(live, scope, found.sources):
                return msgspec.structs.replace(told, found=_searched(found, closed))
        case Spoken(piece=Source() as source):
            if closed := await closed_of(live, scope, [source]):
                return msgspec.structs.replace(told, piece=withheld(source, closed))
        case Done(cited=cited):
            if closed := await closed_of(live, scope, cited):
                kept = tuple(withheld(one, closed) for one in cited)
                return msgspec.structs.replace(told, cited=kept)
    return told


def readers(stored: Sequence[Entry]) -> set[str]:
    """The access lists that anything said in a conversation stood under."""
    found = (one.readers for entry in stored for one in _in(entry.content))
    return {name for name in found if name}


async def closed_of(live: Knowledge, scope: Scope, sources: Iterable[Source]) -> Closed:
    """The documents of those sources that are gone, or not the reader's to read."""
    documents = {one.document_id for one in sources}
    if not documents:
        return {}
    missing = documents - set(await live.access.readable(scope, sorted(documents)))
    if not missing:
        return {}
    there = set(await live.access.closed(scope, sorted(missing)))
    return {one: one in there for one in missing}


def _in(content: Content) -> Iterable[Source]:
    match content:
        case Searched(sources=sources):
            return sources
        case Answered(content=pieces):
            return [piece for piece in pieces if isinstance(piece, Source)]
        case _:
            return ()


def _without(content: Content, closed: Closed) -> Content:
    match content:
        case Searched():
            return _searched(content, closed)
        case Answered(content=pieces):
            kept = [withheld(one, closed) if isinstance(one, Source) else one for one in pieces]
            return msgspec.structs.replace(content, content=tuple(kept))
        case _:
            return content


def _searched(found: Searched, closed: Closed) -> Searched:
    kept = tuple(withheld(one, closed) for one in found.sources)
    return msgspec.structs.replace(found, sources=kept)


def withheld(source: Source, closed: Closed) -> Source:
    """A source without what its reader may not see."""
    if source.document_id not in closed:
        return source
    there = closed[source.document_id]
    name = _CLOSED if there else NO_NAME
    return msgspec.structs.replace(
        source, document_name=name, heading="", text="", withheld=True, closed=there
    )
