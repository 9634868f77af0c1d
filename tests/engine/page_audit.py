"""Counts every page of a table: each in one place, held by exactly those who lease it."""

from collections import Counter
from collections.abc import Iterator, Sequence

from ponant.engine.cache import PageTable, _is_current
from ponant.engine.lease import Lease
from ponant.engine.radix import KEY_BYTES, Node


def audit(table: PageTable, leases: Sequence[Lease]) -> None:
    """Check the whole table against the leases that are open.

    Raises:
        AssertionError: a page leaked or is in two places, or a count is wrong.
    """
    nodes = [node for root in table._trees.values() for node in _below(root)]
    held = {node for lease in leases if lease.node for node in lease.node.path()}
    gone = [node for node in held if node.gone]
    assert not any(node.gone for node in nodes), "what was forgotten can be found"
    nodes += gone
    published = [page for node in nodes for page in node.pages]
    private = [page for lease in leases for page in lease.pages[lease.shared :]]
    places = sorted([*table._free, *published, *private])
    assert places == list(range(1, table.pages + 1)), "a page leaked or is in two places"
    holders = Counter(node for lease in leases if lease.node for node in lease.node.path())
    for node in nodes:
        assert node.holders == holders[node], "a count of holders is wrong"
        assert len(node.key) == len(node.pages) * KEY_BYTES or node.parent is None
    assert set(holders) <= set(nodes), "a lease holds what is in no tree"
    assert table._idle == sum(len(node.pages) for node in nodes if not node.holders)
    for lease in leases:
        _check_lease(lease)
    _check_shape(table, [node for node in nodes if not node.gone])


def _below(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children.values():
        assert child.parent is node
        assert child.pages
        yield from _below(child)


def _check_lease(lease: Lease) -> None:
    assert lease.node is not None
    path = [*lease.node.path()][::-1]
    assert lease.pages[: lease.shared] == [page for node in path for page in node.pages]


def _check_shape(table: PageTable, nodes: Sequence[Node]) -> None:
    """Every tree is of use, and every leaf that nobody holds can be taken away."""
    queued = {entry[2] for entry in table._leaves if _is_current(entry)}
    for node in nodes:
        for key, child in node.children.items():
            assert key == child.key[:KEY_BYTES]
        if node.parent is None:
            assert node.holders or node.children
        elif not node.holders and not node.children:
            assert node in queued, "a leaf that nobody holds is forgotten"
