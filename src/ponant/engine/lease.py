"""The pages of the key-value cache that one sequence holds, and what stands in them."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

from ponant.engine.radix import Node


@dataclass(eq=False, slots=True)
class Lease:
    """The pages that one sequence holds, in the order of its tokens.

    Attributes:
        pages: page numbers; page ``i`` holds tokens ``i * PAGE_TOKENS`` and on.
        cached_tokens: tokens whose keys and values were there when the lease was opened.
        node: the published page that the lease has come to, which it holds; None once closed.
        shared: how many of the pages are published, from the first; the others are its own.
        digest: of the last published page.
        tags: the page in which each begins, and its mark.
        limit: pages that may be published; those behind hold what was forgotten.
        stored: digests of the pages behind the published ones that the store had at the beginning.
    """

    pages: list[int] = field(default_factory=list)
    cached_tokens: int = 0
    node: Node | None = None
    shared: int = 0
    digest: bytes = b""
    tags: tuple[tuple[int, str], ...] = ()
    limit: int = sys.maxsize
    stored: tuple[bytes, ...] = ()

    def tags_until(self, page: int) -> frozenset[str]:
        """Marks of what begins in this page or before it."""
        return frozenset(mark for first, mark in self.tags if first <= page)

    def inherit(self, page: int, marks: Iterable[str]) -> None:
        """Learn what begins in a page that another sequence has computed, or before it."""
        if unknown := frozenset(marks) - self.tags_until(page):
            self.tags += tuple((page, mark) for mark in sorted(unknown))

    def narrow(self, marks: Iterable[str]) -> None:
        """Publish nothing from where one of the tags begins."""
        wanted = set(marks)
        limit = min((page for page, mark in self.tags if mark in wanted), default=self.limit)
        self.limit = min(limit, self.limit)

    def tag(self, node: Node, first: int) -> None:
        """Note on a node, whose first page is the lease's ``first``, what begins in its pages."""
        for page, mark in self.tags:
            if first <= page < first + len(node.pages):
                node.tags.setdefault(page - first, set()).add(mark)
