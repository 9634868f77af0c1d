"""What one search looks for in the keyword index, in words that SQLite and PostgreSQL both take."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import ColumnElement, TableClause
from sqlalchemy.orm import Session

from ponant.store import Scope

Hits = list[tuple[int, float]]
"""Passage rows and their weight, the best first."""


@dataclass(frozen=True, slots=True)
class Term:
    """A word that is looked for.

    Attributes:
        forms: those that it has in the library's languages; one that ends in ``*`` is a beginning.
        count: in how many passages it stands; 1 for a beginning, of which nothing is known.
    """

    forms: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for in a library.

    Attributes:
        key: stands before each of the library's terms.
        phrases: terms that stand side by side, in the forms of each language; all must be there.
        choosing: a passage has one of these, unless phrases choose.
        weighing: these only weigh.
        passages: of the library.
        length: how many terms they have together; 0 where that is not counted.
    """

    key: str
    phrases: tuple[tuple[tuple[str, ...], ...], ...]
    choosing: tuple[Term, ...]
    weighing: tuple[Term, ...]
    passages: int
    length: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a search looks.

    Attributes:
        scope: whose passages; of those only what it may read is found.
        conditions: on `PassageRow` and `DocumentRow`, which are joined.
    """

    scope: Scope
    library_id: str
    conditions: Collection[ColumnElement[bool]] = ()


@dataclass(frozen=True, slots=True)
class Laid:
    """A passage as the index takes it: its row and its terms, in the order of the text."""

    row: int
    name: Sequence[str]
    heading: Sequence[str]
    body: Sequence[str]


class TermTables(Protocol):
    """How a kind of database keeps terms; a module with these functions."""

    def write(self, session: Session, slot: TableClause, key: str, laid: Sequence[Laid]) -> None:
        """Put passages in; they leave it with their row."""

    def matching(
        self,
        session: Session,
        slot: TableClause,
        wanted: Wanted,
        place: Place,
        limit: int,
    ) -> Hits:
        """The best passages."""
