"""Watches and what happened to them, as their owner may see them now.

Citations and evidence go the way of those of conversations. A passage that moved is shown as it was
told, unless its document is still there and closed to the owner: that a document is gone is news.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec

from ponant.assistant import withholding
from ponant.assistant.port import Knowledge
from ponant.assistant.schemas import Source
from ponant.assistant.watches.port import Tables
from ponant.assistant.watches.schemas import Answer, MovedPassage, Watch, WatchEvent
from ponant.store import Scope


class Live(Knowledge, Protocol):
    """Knowledge with its live tables."""

    @property
    def relations(self) -> Tables: ...


_Told = TypeVar("_Told", Watch, WatchEvent)


async def shown(live: Live, scope: Scope, told: Sequence[_Told]) -> list[_Told]:
    """Watches or events without what their owner may not read any more."""
    sources = [source for one in told for source in _sources(one)]
    moved = [passage.document_id for one in told for passage in _moved(one)]
    gone = await withholding.closed_of(live, scope, sources)
    closed = set(await live.access.closed(scope, sorted(set(moved)))) if moved else set()
    tables = sorted({name for one in told for answer in _answers(one) for name in answer.tables})
    shut = set(await live.relations.closed(scope, tables)) if tables else set()
    if not gone and not closed and not shut:
        return list(told)
    return [_without(one, gone, closed, shut) for one in told]


def _answers(told: Watch | WatchEvent) -> list[Answer]:
    answers = [told.answer] if isinstance(told, Watch) else [told.old, told.new]
    return [answer for answer in answers if answer is not None]


def _sources(told: Watch | WatchEvent) -> list[Source]:
    found = [source for one in _answers(told) for source in (*one.cited, *one.passages)]
    return [*found, *told.evidence] if isinstance(told, Watch) else found


def _moved(told: Watch | WatchEvent) -> Sequence[MovedPassage]:
    return () if isinstance(told, Watch) else told.moved


def _without(told: _Told, gone: withholding.Closed, closed: set[str], shut: set[str]) -> _Told:
    if isinstance(told, Watch):
        evidence = tuple(withholding.withheld(one, gone) for one in told.evidence)
        answer = _answer(told.answer, gone, shut)
        return msgspec.structs.replace(told, answer=answer, evidence=evidence)
    return msgspec.structs.replace(
        told,
        old=_answer(told.old, gone, shut),
        new=_answer(told.new, gone, shut),
        moved=tuple(_passage(one, closed) for one in told.moved),
    )


def _answer(answer: Answer | None, gone: withholding.Closed, shut: set[str]) -> Answer | None:
    if answer is None:
        return None
    withheld = not shut.isdisjoint(answer.tables)
    return msgspec.structs.replace(
        answer,
        rows=() if withheld else answer.rows,
        withheld=withheld,
        content=tuple(
            withholding.withheld(one, gone) if isinstance(one, Source) else one
            for one in answer.content
        ),
        passages=tuple(withholding.withheld(one, gone) for one in answer.passages),
    )


def _passage(passage: MovedPassage, closed: set[str]) -> MovedPassage:
    if passage.document_id not in closed:
        return passage
    return msgspec.structs.replace(
        passage,
        document_name=withholding.NO_NAME,
        heading="",
        before=None,
        after=None,
    )
