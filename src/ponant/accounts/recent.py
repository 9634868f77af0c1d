"""Keys that were looked up a moment ago, so that a busy one is not looked up at each request."""

import time
from collections.abc import Callable
from typing import NamedTuple

from ponant.accounts import credentials
from ponant.accounts.principal import Principal

_SECONDS = 1.0
_MOST = 1024


class Look(NamedTuple):
    """When a look-up began."""

    age: int
    at: float


class RecentKeys:
    """Whom keys speak for, remembered for a second.

    A key that this process revokes is forgotten at once; one that another process revokes, as the
    command line does, works for that second longer. Keys themselves are not kept, only digests.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._known: dict[str, tuple[float, Principal]] = {}
        self._age = 0

    @property
    def age(self) -> int:
        """Changes whenever everything is forgotten."""
        return self._age

    def begin(self) -> Look:
        """Ask before a look-up, and tell `remember`."""
        return Look(self._age, self._now())

    def find(self, key: str) -> Principal | None:
        """Whom the key speaks for, where that was found out within the last second."""
        found = self._known.get(credentials.digest(key))
        if found is None or self._now() > found[0]:
            return None
        return found[1]

    def ages(self, key: str) -> bool:
        """Whether what is known of a key will soon be too old."""
        found = self._known.get(credentials.digest(key))
        return found is not None and self._now() > found[0] - _SECONDS / 2

    def remember(self, key_hash: str, principal: Principal, look: Look) -> None:
        """Keep what a look-up found, unless something was revoked while it ran."""
        if look.age != self._age:
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[key_hash] = look.at + _SECONDS, principal

    def drop(self, key_hash: str) -> None:
        """Forget one key."""
        self._known.pop(key_hash, None)

    def forget(self) -> None:
        self._age += 1
        self._known.clear()
