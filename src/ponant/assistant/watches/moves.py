"""What happened to a watch's evidence, passage by passage."""

from collections.abc import Sequence
from difflib import SequenceMatcher

from ponant.assistant.schemas import Source
from ponant.assistant.watches.port import Live
from ponant.assistant.watches.schemas import MovedPassage
from ponant.kit.errors import NotFound
from ponant.live.port import PassageRef
from ponant.store import Scope

_ALIKE = 0.4  # share of two passages that must be the same for one to be the other, edited


async def moves(
    live: Live, scope: Scope, old: Sequence[Source], new: Sequence[Source]
) -> tuple[MovedPassage, ...]:
    """The passages that came, went or changed between two answers, for whoever ``scope`` is.

    What a passage said before is told only of documents that the reader may still read.
    """
    names = {_name(one) for one in new}
    gone = [one for one in old if _name(one) not in names]
    names = {_name(one) for one in old}
    came = [one for one in new if _name(one) not in names]
    states = await live.check_passages(
        scope, [PassageRef(id=one.passage_id, hash=one.hash) for one in gone]
    )
    moved: list[MovedPassage] = []
    readable: dict[str, bool] = {}
    for one, state in zip(gone, states, strict=True):
        if one.document_id not in readable:
            readable[one.document_id] = await _may_read(live, scope, one)
        before = one.text if readable[one.document_id] else None
        after = None if state.state == "current" else _successor(one, came)
        if after is not None:
            came.remove(after)
            moved.append(_moved("changed", after, before, after.text))
        else:
            what = "left" if state.state == "current" else "removed"
            moved.append(_moved(what, one, before, before if what == "left" else None))
    moved += [_moved("added", one, None, one.text) for one in came]
    return tuple(moved)


def _successor(one: Source, came: Sequence[Source]) -> Source | None:
    """The passage that one became by an edit."""
    near = [
        (SequenceMatcher(None, one.text, other.text).ratio(), -place, other)
        for place, other in enumerate(came)
        if other.document_id == one.document_id
    ]
    best = max(near, key=lambda item: item[:2], default=None)
    return best[2] if best is not None and best[0] >= _ALIKE else None


async def _may_read(live: Live, scope: Scope, one: Source) -> bool:
    try:
        await live.get_document(scope, one.library_id, one.document_id)
    except NotFound:
        return False
    return True


def _moved(what: str, one: Source, before: str | None, after: str | None) -> MovedPassage:
    return MovedPassage(
        what=what,  # type: ignore[arg-type]
        library_id=one.library_id,
        document_id=one.document_id,
        document_name=one.document_name,
        heading=one.heading,
        passage_id=one.passage_id,
        before=before,
        after=after,
    )


def _name(one: Source) -> tuple[str, str]:
    return one.passage_id, one.hash
