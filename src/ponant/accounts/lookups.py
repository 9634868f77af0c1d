"""Whom keys speak for, asked by coroutines: one look-up serves all who ask meanwhile."""

import asyncio

from ponant.accounts import credentials
from ponant.accounts.principal import Principal
from ponant.accounts.service import Accounts

_Look = tuple[str, int]  # a key's digest, and the age of what was known when the look-up began


class Lookups:
    """Looks keys up in threads, and again in the background before what is known gets too old.

    So a burst with one key costs one look-up, and a busy key's requests wait for none. Who asks
    after something was revoked never joins a look-up that began before.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._under_way: dict[_Look, asyncio.Task[Principal]] = {}

    async def principal(self, key: str) -> Principal:
        """Whom a key speaks for.

        Raises:
            Unauthorized: unknown or revoked.
        """
        known = self._accounts.known_for_key(key)
        if known is None:
            return await asyncio.shield(self._look(key))
        if self._accounts.recent.ages(key):
            self._look(key)
        return known

    def _look(self, key: str) -> "asyncio.Task[Principal]":
        look = credentials.digest(key), self._accounts.recent.age
        if look not in self._under_way:
            work = asyncio.to_thread(self._accounts.principal_for_key, key)
            task = self._under_way[look] = asyncio.create_task(work)
            task.add_done_callback(lambda done: self._end(look, done))
        return self._under_way[look]

    def _end(self, look: _Look, done: "asyncio.Task[Principal]") -> None:
        del self._under_way[look]
        if not done.cancelled():
            done.exception()  # whoever waits is told; where nobody does, nothing is lost
