"""A cache whose slots tell what they hold: which scope and which tokens up to there."""

import time
from collections.abc import Sequence as Items
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ponant.engine.cache import PAGE_TOKENS
from ponant.engine.page_store import Reading
from ponant.engine.sequence import Sequence, Work

_MASK: Final = (1 << 64) - 1
_MULTIPLIER: Final = 0x9E3779B97F4A7C15


class FakePages:
    """Stands in for a decoder: "computing" a token reads all slots before it and writes its own.

    A slot holds a hash of its scope and of every token up to its own, as keys and values depend on
    all of them. A slot that holds anything else when it is read is a fault.
    """

    def __init__(self, pages: int) -> None:
        self._slots: NDArray[np.uint64] = np.zeros((pages + 1, PAGE_TOKENS), np.uint64)
        self._known: dict[Sequence, list[int]] = {}

    def run(self, work: Items[Work]) -> int:
        """Run a step; returns its rows.

        Raises:
            AssertionError: something is read that the sequence must not see.
        """
        written: set[int] = set()
        for item in work:
            self._write(item, written)
        for item in work:
            self._check(item)
        return sum(item.rows for item in work)

    def read_page(self, page: int) -> bytes:
        return self._slots[page].tobytes()

    def write_page(self, page: int, data: bytes) -> None:
        if len(data) != PAGE_TOKENS * 8:
            raise ValueError("not a page of this model")
        self._slots[page] = np.frombuffer(data, np.uint64)

    def forget(self, sequence: Sequence) -> None:
        self._known.pop(sequence, None)

    def _write(self, item: Work, written: set[int]) -> None:
        contents = self._contents(item)
        pages = item.sequence.lease.pages
        flat = self._slots.reshape(-1)
        for at in range(item.start, item.start + item.rows):
            slot = pages[at // PAGE_TOKENS] * PAGE_TOKENS + at % PAGE_TOKENS
            assert slot >= PAGE_TOKENS, "page 0 belongs to nobody"
            assert slot not in written, "two sequences write to one slot"
            written.add(slot)
            flat[slot] = contents[at]

    def _check(self, item: Work) -> None:
        expected = self._known[item.sequence]
        found = self._slots[item.sequence.lease.pages].reshape(-1)[: len(expected)]
        assert found.tolist() == expected, f"{item.sequence.id} reads what is not its own"

    def _contents(self, item: Work) -> list[int]:
        """What the slots up to the item's last row must hold."""
        sequence = item.sequence
        contents = self._known.get(sequence, [])[: item.start]  # what was drafted may have changed
        last = contents[-1] if contents else hash(sequence.scope) & _MASK
        for token in (*sequence.tokens[len(contents) : item.start + item.count], *item.drafts):
            last = ((last ^ (token + 1)) * _MULTIPLIER + 1) & _MASK
            contents.append(last)
        self._known[sequence] = contents
        return contents


def wait_for(reading: Reading) -> bool:
    """Wait until a store has let go of the pages that it fills."""
    deadline = time.monotonic() + 60
    while not reading.done and time.monotonic() < deadline:
        time.sleep(0.001)
    return reading.done
