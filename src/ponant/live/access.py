"""Who may read which document: what lists look like, and how other processes set them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from ponant.kit.errors import Unprocessable
from ponant.store import Scope

if TYPE_CHECKING:
    from ponant.live.client import LiveClient

_MOST_MARKS = 1000
_LONGEST_MARK = 300
_KINDS = ("person", "email", "group")


class DocumentAccess(msgspec.Struct, frozen=True, kw_only=True):
    """Who may read a document, for those who decide it.

    Attributes:
        access: marks; None is everybody who may read the library.
        by_hand: whether the list was set by hand, so that its source no longer decides.
    """

    document_id: str
    name: str
    access: tuple[str, ...] | None
    by_hand: bool


class TableAccess(msgspec.Struct, frozen=True, kw_only=True):
    """Who may ask a table.

    Attributes:
        access: marks; None is everybody in the workspace.
        by_hand: whether the list was set by hand, so that pipelines no longer decide.
    """

    name: str
    access: tuple[str, ...] | None
    by_hand: bool


class AccessClient:
    """Access lists, asked over the local socket."""

    def __init__(self, live: "LiveClient") -> None:
        self._live = live

    async def set(
        self, scope: Scope, library_id: str, document_id: str, marks: Sequence[str] | None
    ) -> DocumentAccess:
        """Let those with one of the marks read a document; None is everybody."""
        arguments = {
            "library_id": library_id,
            "document_id": document_id,
            "marks": None if marks is None else list(marks),
        }
        return await self._live.call(DocumentAccess, "access.set", scope, **arguments)

    async def release(self, scope: Scope, library_id: str, document_id: str) -> DocumentAccess:
        """Let the source decide again."""
        arguments = {"library_id": library_id, "document_id": document_id}
        return await self._live.call(DocumentAccess, "access.release", scope, **arguments)

    async def show(self, scope: Scope, library_id: str) -> list[DocumentAccess]:
        """Every document of a library with who may read it, for those who decide it."""
        kind = list[DocumentAccess]
        return await self._live.call(kind, "access.show", scope, library_id=library_id)

    async def closed(self, scope: Scope, document_ids: Sequence[str]) -> list[str]:
        """Those of the documents that are there and that the caller may not read now."""
        arguments = {"document_ids": list(document_ids)}
        return await self._live.call(list[str], "access.closed", scope, **arguments)

    async def closed_paths(self, scope: Scope, library_id: str, paths: Sequence[str]) -> list[str]:
        """Those of the paths under which a document stands that the caller may not read."""
        arguments = {"library_id": library_id, "paths": list(paths)}
        return await self._live.call(list[str], "access.closed_paths", scope, **arguments)

    async def readable(self, scope: Scope, document_ids: Sequence[str]) -> list[str]:
        """Those of the documents that are there and that the caller may read now."""
        arguments = {"document_ids": list(document_ids)}
        return await self._live.call(list[str], "access.readable", scope, **arguments)


def may_read(scope: Scope, marks: Sequence[str] | None) -> bool:
    """Whether a list lets the caller in; None lets everybody."""
    return marks is None or not set(marks).isdisjoint(scope.marks)


def checked_marks(marks: Sequence[str]) -> tuple[str, ...]:
    """Marks as they are stored: sorted, each once, addresses in lower case.

    Raises:
        Unprocessable: one is of no known kind, or there are too many.
    """
    if len(marks) > _MOST_MARKS:
        raise Unprocessable(f"A list has at most {_MOST_MARKS} entries.", param="access")
    return tuple(sorted({_checked(mark) for mark in marks}))


def _checked(mark: str) -> str:
    kind, _, name = mark.strip().partition(":")
    if kind not in _KINDS or not name or len(mark) > _LONGEST_MARK or not mark.isprintable():
        raise Unprocessable(
            "An access list holds person:<id>, email:<address> and group:<name>.", param="access"
        )
    return canonical(f"{kind}:{name}")


def canonical(mark: str) -> str:
    """A mark as it is stored and compared: addresses do not tell large letters from small."""
    return mark.casefold() if mark.startswith("email:") else mark
