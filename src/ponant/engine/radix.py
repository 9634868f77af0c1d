"""A radix tree over pages of tokens: which pages hold the keys and values of which beginnings.

One tree serves one scope. A node stands for a run of whole pages; its children begin with
different pages. Whoever uses a node holds it and everything above it, so that what nobody holds
can be taken away from the ends of the branches (as in SGLang's RadixAttention, arXiv 2312.07104).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

KEY_BYTES: Final = 64
"""Length of one page's key: its 16 token ids of four bytes each."""


@dataclass(eq=False, slots=True)
class Node:
    """A run of pages that follows its parent's.

    Attributes:
        key: the keys of its pages, one after the other; at a tree's root, the scope's digest.
        pages: their numbers; none at a tree's root alone.
        parent: None at a tree's root, and where the node was taken out of its tree.
        children: by the key of their first page.
        holders: leases that end here or below.
        used: when the last lease let go of it.
        hits: how many leases found it published.
        tags: marks of what begins in its pages, by the place of the page in the node.
        gone: taken out of its tree, for those alone who hold it still.
    """

    key: bytes = b""
    pages: list[int] = field(default_factory=list)
    parent: "Node | None" = None
    children: dict[bytes, "Node"] = field(default_factory=dict)
    holders: int = 0
    used: int = 0
    hits: int = 0
    tags: dict[int, set[str]] = field(default_factory=dict)
    gone: bool = False

    def path(self) -> Iterator["Node"]:
        """This node and those above it, up to the root."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    def child(self, key: bytes) -> "Node | None":
        """What follows for the beginning of ``key``, as one node that matches to its end.

        A node that matches in part is split there.
        """
        found = self.children.get(key[:KEY_BYTES])
        if found is None:
            return None
        common = common_pages(found.key, key)
        return found if common == len(found.pages) else found.split(common)

    def split(self, count: int) -> "Node":
        """Part the first ``count`` pages off into a node above this one; returns that one.

        Leases that end here still do: this node keeps its end.
        """
        upper = Node(
            key=self.key[: count * KEY_BYTES],
            pages=self.pages[:count],
            parent=self.parent,
            holders=self.holders,
            used=self.used,
            hits=self.hits,
            tags={place: marks for place, marks in self.tags.items() if place < count},
            gone=self.gone,
        )
        self.tags = {place - count: marks for place, marks in self.tags.items() if place >= count}
        if self.parent is not None:
            self.parent.children[upper.key[:KEY_BYTES]] = upper
        self.key, self.pages = self.key[len(upper.key) :], self.pages[count:]
        self.parent = upper
        upper.children[self.key[:KEY_BYTES]] = self
        return upper

    def grow(self, key: bytes, pages: list[int]) -> "Node":
        """Put pages behind this node, which its only holder has computed; returns where they are.

        They become part of the node itself where nobody else is at its end.
        """
        if self.parent is not None and self.holders == 1 and not self.children:
            self.key += key
            self.pages += pages
            return self
        child = Node(key, list(pages), self, holders=1, gone=self.gone)
        self.children[key[:KEY_BYTES]] = child
        return child

    def shrink(self) -> int:
        """Take the last page away; returns its number. A node without pages leaves its tree."""
        page = self.pages.pop()
        first = self.key[:KEY_BYTES]
        self.key = self.key[:-KEY_BYTES]
        self.tags.pop(len(self.pages), None)
        if not self.pages and self.parent is not None:
            del self.parent.children[first]
        return page

    def tagged(self, marks: frozenset[str]) -> int | None:
        """The place of the first page in which one of the tags begins."""
        return min((place for place, own in self.tags.items() if own & marks), default=None)

    def leave(self) -> None:
        """Take this node out of what its parent leads to."""
        if self.parent is not None and self.parent.children.get(self.key[:KEY_BYTES]) is self:
            del self.parent.children[self.key[:KEY_BYTES]]

    def below(self) -> Iterator["Node"]:
        """This node and those under it, each before its children."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            waiting += node.children.values()
            yield node


def common_pages(one: bytes, other: bytes) -> int:
    """How many pages two keys have in common, from the first."""
    low, high = 0, min(len(one), len(other)) // KEY_BYTES
    if one[: high * KEY_BYTES] == other[: high * KEY_BYTES]:
        return high
    while high - low > 1:  # the first `low` are equal, the first `high` are not
        middle = (low + high) // 2
        span = slice(low * KEY_BYTES, middle * KEY_BYTES)
        low, high = (middle, high) if one[span] == other[span] else (low, middle)
    return low
