"""Where pages of the cache go that lose their place: the contract, which `Spill` keeps on disk."""

from collections.abc import Sequence
from typing import Protocol


class Reading(Protocol):
    """Pages that a store fills while the engine goes on."""

    @property
    def done(self) -> bool:
        """Whether the store has let go of the pages."""
        ...

    @property
    def found(self) -> Sequence[frozenset[str]]:
        """Tags of those that hold what was saved, from the first; none once it was stopped."""
        ...

    def stop(self) -> None:
        """Fill no more of them, and count none; it is done soon."""
        ...


class PageStore(Protocol):
    """Where pages go that lose their place, by their digests."""

    def save(self, digest: bytes, page: int, tags: frozenset[str] = frozenset()) -> bool:
        """Keep a page's contents as they are now; False where that is not possible now.

        Args:
            tags: marks of what the page must be dropped with.
        """
        ...

    def mark(self, name: str) -> str:
        """What the store knows a tag by; one that keeps no names makes up something else."""
        ...

    def fetch(self, digests: Sequence[bytes], pages: Sequence[int]) -> Reading:
        """Begin to fill pages with what was saved under these digests, a page for each."""
        ...

    def forget(self, marks: frozenset[str]) -> None:
        """Drop what was saved with any of these tags."""
        ...

    def close(self) -> None:
        """Come to an end with what is saved."""
        ...

    def __contains__(self, digest: bytes) -> bool: ...
