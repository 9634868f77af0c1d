"""Whose turn it is: every owner that has something to do gets the same share of the tokens.

Virtual token counters (Sheng et al., arXiv 2401.00588): the owner that was served least goes
first. One that comes back after a pause begins with the least of those present, so that nobody
saves up turns, and nobody pays for tokens that nobody else wanted.
"""

from collections import Counter


class Turns:
    """Counts the tokens that owners were given."""

    def __init__(self) -> None:
        self._served: dict[str, float] = {}
        self._present: Counter[str] = Counter()

    def enter(self, owner: str) -> None:
        """Note that an owner has one more thing to do."""
        if not self._present[owner]:
            least = min(map(self.served, +self._present), default=0.0)
            self._served[owner] = max(self.served(owner), least)
        self._present[owner] += 1

    def leave(self, owner: str) -> None:
        """Note that an owner has one thing less to do."""
        self._present[owner] -= 1
        if self._present[owner]:
            return
        del self._present[owner]
        # A count that is not above the least of those present would be lifted to it anyway.
        least = min(map(self.served, self._present), default=float("inf"))
        self._served = {
            it: served
            for it, served in self._served.items()
            if it in self._present or served > least
        }

    def charge(self, owner: str, tokens: float) -> None:
        """Note that an owner was given tokens."""
        self._served[owner] = self.served(owner) + tokens

    def served(self, owner: str) -> float:
        """Tokens that an owner was given, counted from the least of those present."""
        return self._served.get(owner, 0.0)
