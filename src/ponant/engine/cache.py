"""The paged key-value cache's book-keeping: who holds which page, and what can be shared.

Pages hold a fixed number of tokens. A full page whose keys and values are computed is published
under a hash chained over its scope and every token up to its end (as in vLLM's and nano-vllm's
prefix caching), so that a later prompt of the same scope starts behind it. Pages that nobody holds
stay published until their space is needed; the least recently used goes first.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

PAGE_TOKENS: Final = 16

_Digest = bytes


@dataclass(eq=False, slots=True)
class Lease:
    """The pages that one sequence holds, in the order of its tokens.

    Attributes:
        pages: page numbers; page ``i`` holds tokens ``i * PAGE_TOKENS`` and on.
        cached_tokens: tokens whose keys and values were there when the lease was opened.
        root: hash of the scope.
        chain: hashes of the pages that are full and computed.
    """

    pages: list[int] = field(default_factory=list)
    cached_tokens: int = 0
    chain: list[_Digest] = field(default_factory=list)
    root: _Digest = b""


class PageTable:
    """Hands out pages and remembers what the published ones hold.

    Pages are numbered from 1; number 0 stands for no page.

    Args:
        pages: how many there are.
    """

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self._free = list(range(pages, 0, -1))
        self._holders = [0] * (pages + 1)
        self._published: dict[_Digest, int] = {}
        self._digests: dict[int, _Digest] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()  # published, held by nobody

    @property
    def available(self) -> int:
        """Pages that a sequence could get now."""
        return len(self._free) + len(self._idle)

    def open(self, scope: str, tokens: Sequence[int], *, reuse: bool = True) -> Lease:
        """Start a lease with the published pages that hold the beginning of ``tokens``.

        At least the last token is left to compute, since its logits are wanted.

        Args:
            scope: whose pages may be shared; others' are never found.
            tokens: the sequence so far.
            reuse: False computes everything afresh (scores of a prompt need every logit).
        """
        lease = Lease(root=hashlib.blake2b(scope.encode(), digest_size=32).digest())
        if not reuse:
            return lease
        for index in range((len(tokens) - 1) // PAGE_TOKENS):
            digest = _page_digest(lease, tokens, index)
            page = self._published.get(digest)
            if page is None:
                break
            self._hold(page)
            lease.pages.append(page)
            lease.chain.append(digest)
        lease.cached_tokens = len(lease.pages) * PAGE_TOKENS
        return lease

    def extend(self, lease: Lease, length: int) -> bool:
        """Give the lease room for ``length`` tokens; False, and no change, where there is none."""
        missing = -(-length // PAGE_TOKENS) - len(lease.pages)
        if missing > self.available:
            return False
        for _ in range(missing):
            page = self._take()
            self._hold(page)
            lease.pages.append(page)
        return True

    def publish(self, lease: Lease, tokens: Sequence[int], computed: int) -> None:
        """Let later sequences of the scope find the full pages among the ``computed`` tokens."""
        chain = lease.chain
        for index in range(len(chain), computed // PAGE_TOKENS):
            digest = _page_digest(lease, tokens, index)
            chain.append(digest)
            if digest not in self._published:
                page = lease.pages[index]
                self._published[digest] = page
                self._digests[page] = digest

    def close(self, lease: Lease) -> None:
        """Give every page of the lease back; published ones stay findable while space allows."""
        for page in reversed(lease.pages):  # the end of a prefix goes before its beginning
            self._release(page)
        lease.pages.clear()

    def _hold(self, page: int) -> None:
        self._holders[page] += 1
        self._idle.pop(page, None)

    def _release(self, page: int) -> None:
        self._holders[page] -= 1
        if self._holders[page]:
            return
        if page in self._digests:
            self._idle[page] = None
        else:
            self._free.append(page)

    def _take(self) -> int:
        if self._free:
            return self._free.pop()
        page, _ = self._idle.popitem(last=False)
        del self._published[self._digests.pop(page)]
        return page


def _page_digest(lease: Lease, tokens: Sequence[int], index: int) -> _Digest:
    """The name of page ``index``: depends on the scope and on every token up to the page's end."""
    before = lease.chain[index - 1] if index else lease.root
    page = tokens[index * PAGE_TOKENS : (index + 1) * PAGE_TOKENS]
    return hashlib.blake2b(before + np.asarray(page, np.int32).tobytes(), digest_size=32).digest()
