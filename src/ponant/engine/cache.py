"""The paged key-value cache's book-keeping: who holds which page, and what can be shared.

Pages hold a fixed number of tokens. A full page whose keys and values are computed is published in
the radix tree of its scope, so that a later prompt of the same scope starts behind it. Pages that
nobody holds stay published until their space is needed; the least recently used goes first. What
is taken away may go to a store, from where it comes back when it is asked for.

A page's digest is chained over the model, the weight form, the adapter, the scope and every token
up to its end: nobody finds a page without knowing all of them.

What a page holds may have to be forgotten before its time, such as a passage that was deleted. A
lease says where such things begin (its tags), and `PageTable.forget` drops the pages from there on.
Who goes on behind pages of others, or of the store, takes their tags over. A tag is kept as the
store's mark of its name, which is all that a store remembers of it.
"""

import hashlib
import heapq
import itertools
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from ponant.engine.lease import Lease
from ponant.engine.page_store import PageStore, Reading
from ponant.engine.radix import KEY_BYTES, Node

PAGE_TOKENS: Final = 16

_DIGEST_BYTES: Final = 32
_STALE_ENTRIES: Final = 1024  # of the queue of leaves, before it is swept
_HIT_WORTH: Final = 16  # leases that may end meanwhile, for each time that a page was found again
_MOST_HITS: Final = 64
_REMEMBERED: Final = 65_536  # forgotten names: prompts made before may still be on their way


class PageTable:
    """Hands out pages and remembers what the published ones hold.

    Pages are numbered from 1; number 0 stands for no page. Not safe for use by several threads.

    Args:
        pages: how many there are.
        model_hash: of the weights that compute the pages' contents.
        weight_form: how those stand in memory, which rounds results differently.
        store: takes pages that lose their place; None lets them go.
    """

    def __init__(
        self,
        pages: int,
        *,
        model_hash: str = "",
        weight_form: str = "",
        store: PageStore | None = None,
    ) -> None:
        self.pages = pages
        self._model = (model_hash, weight_form)
        self._store = store
        self._free = list(range(pages, 0, -1))
        self._trees: dict[bytes, Node] = {}
        self._idle = 0  # published pages that nobody holds
        self._leaves: list[tuple[int, int, Node]] = []  # that nobody holds, oldest first; a heap
        self._numbers = itertools.count(1)
        self._unsaved: dict[int, tuple[bytes, frozenset[str]]] = {}
        self._tagged: set[Lease] = set()  # open leases that have tags
        self._forgotten: OrderedDict[str, None] = OrderedDict()  # marks

    @property
    def available(self) -> int:
        """Pages that a sequence could get now."""
        return len(self._free) + self._idle

    def open(
        self,
        scope: str,
        tokens: Sequence[int],
        *,
        adapter: str = "",
        reuse: bool = True,
        tags: Sequence[tuple[int, str]] = (),
    ) -> Lease:
        """Start a lease with the published pages that hold the beginning of ``tokens``.

        At least the last token is left to compute, since its logits are wanted.

        Args:
            scope: whose pages may be shared; others' are never found.
            tokens: the sequence so far.
            adapter: what changes the model's weights for this sequence.
            reuse: False computes everything afresh (scores of a prompt need every logit).
            tags: tokens at which something begins that may have to be forgotten, and its name.
        """
        root = _digest(*self._model, adapter, scope)
        tree = self._trees.setdefault(root, Node(key=root))
        self._hold(tree)
        lease = Lease(node=tree, digest=root)
        if tags:
            lease.tags = tuple((start // PAGE_TOKENS, self._mark(name)) for start, name in tags)
            lease.narrow(mark for _, mark in lease.tags if mark in self._forgotten)
            self._tagged.add(lease)
        if not reuse:
            return lease
        key = page_key(tokens, 0, (len(tokens) - 1) // PAGE_TOKENS)
        self._follow(lease, key)
        if self._store is not None:
            behind = _chain(lease.digest, key[lease.shared * KEY_BYTES :])
            lease.stored = tuple(itertools.takewhile(self._store.__contains__, behind))
        lease.cached_tokens = lease.shared * PAGE_TOKENS
        return lease

    def extend(self, lease: Lease, length: int) -> bool:
        """Give the lease room for ``length`` tokens; False, and no change, where there is none."""
        missing = pages_for(length) - len(lease.pages)
        if missing <= 0:
            return True
        if missing > self.available:
            return False
        lease.pages += [self._take() for _ in range(missing)]
        return True

    def restore(self, lease: Lease) -> Reading | None:
        """Begin to fill the lease's own pages with what the store has, if it has anything.

        Until that is done and `restored` was called, the lease is not closed and its pages are
        left alone.
        """
        if self._store is None or not lease.stored:
            return None
        pages = lease.pages[lease.shared : lease.shared + len(lease.stored)]
        return self._store.fetch(lease.stored[: len(pages)], pages)

    def restored(self, lease: Lease, tokens: Sequence[int], reading: Reading) -> None:
        """Publish the first pages that `restore` has filled, as computed ones are."""
        for page, marks in enumerate(reading.found, lease.shared):
            self._inherit(lease, page, marks)
        last = min(lease.shared + len(reading.found), lease.limit)
        if last > lease.shared:
            self._graft(lease, page_key(tokens, lease.shared, last), dirty=False)
        lease.cached_tokens = lease.shared * PAGE_TOKENS

    def publish(self, lease: Lease, tokens: Sequence[int], computed: int) -> None:
        """Let later sequences of the scope find the full pages among the ``computed`` tokens.

        Where another sequence has published the same meanwhile, the lease goes over to its pages.
        """
        full = min(computed // PAGE_TOKENS, lease.limit)
        if full > lease.shared:
            self._graft(lease, page_key(tokens, lease.shared, full), dirty=True)

    def close(self, lease: Lease) -> None:
        """Give every page of the lease back; published ones stay findable while space allows."""
        if lease.node is None:
            return
        self._tagged.discard(lease)
        self._free += reversed(lease.pages[lease.shared :])
        now = next(self._numbers)
        for node in lease.node.path():
            node.used = now
            node.holders -= 1
            if not node.holders:
                self._idle += len(node.pages)
                self._let_go(node)
        lease.pages.clear()
        lease.node, lease.shared = None, 0

    def save(self, most: int) -> int:
        """Put up to ``most`` published pages into the store; returns how many are left.

        For times when nothing else is to do: what is saved early survives a sudden end.
        """
        if self._store is None:
            return 0
        for page, (digest, tags) in list(itertools.islice(self._unsaved.items(), most)):
            if not self._store.save(digest, page, tags):
                break
            del self._unsaved[page]
        return len(self._unsaved)

    def forget(self, names: Iterable[str]) -> None:
        """Drop every page that holds what one of these tags names, or comes behind it.

        What a lease holds stays its own until it is closed; nobody else finds it.
        """
        wanted = frozenset(map(self._mark, names))
        for mark in wanted:
            self._forgotten[mark] = None
            self._forgotten.move_to_end(mark)
        while len(self._forgotten) > _REMEMBERED:
            self._forgotten.popitem(last=False)
        for lease in self._tagged:
            lease.narrow(wanted)
        for tree in list(self._trees.values()):
            for node in _first_tagged(tree, wanted):
                self._detach(node)
        if self._store is not None:
            self._store.forget(wanted)

    def finish(self) -> None:
        """Save what may be of use later and close the store; the table is not used any more."""
        if self._store is not None:
            self.save(self.pages)
            self._store.close()

    def _follow(self, lease: Lease, key: bytes) -> None:
        """Move the lease to the end of what is published of ``key``."""
        while key and lease.node is not None and (child := lease.node.child(key)) is not None:
            self._hold(child)
            child.hits = min(child.hits + 1, _MOST_HITS)
            self._share_tags(child, len(lease.pages), lease)
            lease.node = child
            lease.pages += child.pages
            if self._store is not None:
                for digest in _chain(lease.digest, child.key):
                    lease.digest = digest
            key = key[len(child.key) :]
        lease.shared = len(lease.pages)

    def _graft(self, lease: Lease, key: bytes, *, dirty: bool) -> None:
        """Publish the lease's pages from the first that is not: those that ``key`` names."""
        digests = list(_chain(lease.digest, key)) if self._store is not None else []
        done, node = lease.shared, lease.node
        while key and node is not None:
            child = node.child(key)
            if child is None:
                last = done + len(key) // KEY_BYTES
                own = lease.pages[done:last]
                if dirty and digests and not node.gone:
                    tags = map(lease.tags_until, range(done, last))
                    unsaved = zip(digests[done - last :], tags, strict=True)
                    self._unsaved.update(zip(own, unsaved, strict=True))
                node, done = node.grow(key, own), last
                lease.tag(node, last - len(node.pages))
                break
            self._hold(child)
            self._share_tags(child, done, lease)
            last = done + len(child.pages)
            self._free += lease.pages[done:last]
            lease.pages[done:last] = child.pages
            node, done, key = child, last, key[len(child.key) :]
        lease.node, lease.shared = node, done
        lease.digest = digests[-1] if digests else lease.digest

    def _share_tags(self, node: Node, first: int, lease: Lease) -> None:
        """Note on a node what the lease knows to begin in its pages, and the other way round."""
        for place, marks in sorted(node.tags.items()):
            self._inherit(lease, first + place, marks)
        lease.tag(node, first)

    def _inherit(self, lease: Lease, page: int, marks: Iterable[str]) -> None:
        lease.inherit(page, marks)
        if lease.tags:
            self._tagged.add(lease)

    def _mark(self, name: str) -> str:
        return name if self._store is None else self._store.mark(name)

    def _hold(self, node: Node) -> None:
        if not node.holders:
            self._idle -= len(node.pages)
        node.holders += 1

    def _let_go(self, node: Node) -> None:
        """Note that nobody holds a node any more: if it is a leaf, it can be taken away."""
        if node.gone:
            self._release(node)
            return
        if node.children:
            return
        if node.parent is None:
            del self._trees[node.key]
            return
        if len(self._leaves) > _STALE_ENTRIES:
            self._leaves = [entry for entry in self._leaves if _is_current(entry)]
            heapq.heapify(self._leaves)
        heapq.heappush(self._leaves, (_rank(node), next(self._numbers), node))

    def _detach(self, node: Node) -> None:
        """Take a branch out of its tree; what nobody holds of it is free at once."""
        parent = node.parent
        node.leave()
        for each in list(node.below()):
            each.gone = True
            for page in each.pages:
                self._unsaved.pop(page, None)
            if not each.holders:
                self._release(each)
        if parent is not None and not parent.holders:
            self._let_go(parent)

    def _release(self, node: Node) -> None:
        """Free the pages of a node that is gone and that nobody holds any more."""
        self._free += reversed(node.pages)
        self._idle -= len(node.pages)
        node.leave()
        node.pages, node.key = [], b""

    def _take(self) -> int:
        """A page for new contents; where none is free, the one that was unused for longest.

        Those that were found again and again count as used a little later than they were.
        """
        if self._free:
            return self._free.pop()
        while not _is_current(self._leaves[0]):
            heapq.heappop(self._leaves)
        leaf = self._leaves[0][2]
        parent, page = leaf.parent, leaf.shrink()
        self._idle -= 1
        unsaved = self._unsaved.pop(page, None)
        if unsaved is not None and self._store is not None:
            self._store.save(unsaved[0], page, unsaved[1])
        if not leaf.pages:
            heapq.heappop(self._leaves)
            leaf.parent = None
            if parent is not None and not parent.holders:
                self._let_go(parent)
        return page


def pages_for(tokens: int) -> int:
    """Pages that so many tokens take."""
    return -(-tokens // PAGE_TOKENS)


def _is_current(entry: tuple[int, int, Node]) -> bool:
    """Whether an entry of the queue still tells of a leaf that nobody holds."""
    rank, _, node = entry
    held = node.holders or node.children or node.gone
    return not held and node.parent is not None and _rank(node) == rank


def _rank(node: Node) -> int:
    """Which of the leaves goes first: the lowest."""
    return node.used + node.hits * _HIT_WORTH


def _first_tagged(tree: Node, marks: frozenset[str]) -> Iterator[Node]:
    """The branches of a tree that begin with a page in which one of the tags begins."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        place = node.tagged(marks)
        if place is None:
            waiting += node.children.values()
            continue
        if place:
            node.split(place)
        yield node


def page_key(tokens: Sequence[int], first: int, last: int) -> bytes:
    """The tokens of pages ``first`` to ``last``, as the tree compares them."""
    return np.asarray(tokens[first * PAGE_TOKENS : last * PAGE_TOKENS], np.int32).tobytes()


def _chain(digest: bytes, key: bytes) -> Iterator[bytes]:
    """Digests of the pages that ``key`` names, behind the page with ``digest``."""
    for start in range(0, len(key), KEY_BYTES):
        page = key[start : start + KEY_BYTES]
        digest = hashlib.blake2b(digest + page, digest_size=_DIGEST_BYTES).digest()
        yield digest


def _digest(*parts: str) -> bytes:
    """One digest of several texts, each with its length, so that none runs into the next."""
    whole = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        data = part.encode()
        whole.update(len(data).to_bytes(8, "little") + data)
    return whole.digest()
