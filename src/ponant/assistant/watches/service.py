"""Watches: kept, given their turns when their evidence moves, and told of."""

import asyncio
import base64
import contextlib
import secrets
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

import msgspec

from ponant.accounts import Principal
from ponant.assistant.arranging import Arrangement
from ponant.assistant.grounding import Judge
from ponant.assistant.port import Models
from ponant.assistant.watches.answering import Answerer
from ponant.assistant.watches.keeper import Keeper
from ponant.assistant.watches.port import Live, Owners
from ponant.assistant.watches.round import Round
from ponant.assistant.watches.schemas import ID_PREFIX, Delivery, Setup, Watch, WatchEvent
from ponant.assistant.watches.store import WatchStore
from ponant.assistant.watches.webhooks import Webhooks
from ponant.billing import Ledger
from ponant.kit import Clock, PonantError, new_id
from ponant.kit.errors import BadRequest
from ponant.kit.network import Network
from ponant.kit.sealing import Seal
from ponant.store import Database, Scope

_MOST_WATCHES = 10_000  # of one person


class Watches:
    """The watches of an installation; every method acts for its caller alone.

    Args:
        seal: for what webhooks are signed with.
        owners: says what the owner of a watch may do now.
        judging: the judge of what supports an answer.
        network: the addresses that webhooks may have; public ones by default.
        arrangement: the order of passages in prompts, which conversations share.
    """

    def __init__(
        self,
        database: Database,
        seal: Seal,
        clock: Clock,
        models: Models,
        live: Live,
        ledger: Ledger,
        owners: Owners,
        judging: Callable[[], Awaitable[Judge]],
        network: Network | None = None,
        arrangement: Arrangement | None = None,
    ) -> None:
        self._store = WatchStore(database, seal)
        self._webhooks = Webhooks(self._store, clock, network or Network(), live, owners)
        self._clock = clock
        self._live = live
        self._answerer = Answerer(models, ledger, judging, arrangement or Arrangement())
        self._keeper = Keeper(
            self._store,
            clock,
            live,
            owners,
            Round(self._store, clock, live, owners, self._answerer),
            self._webhooks,
            self._publish,
        )
        self._readers: defaultdict[tuple[str, str], set[asyncio.Event]] = defaultdict(set)

    # Life

    async def start(self) -> None:
        """Take up the stored watches, and keep them."""
        await self._keeper.load()
        self._keeper.start()

    async def close(self) -> None:
        """Keep them no more; what is stored is taken up at the next start."""
        await self._keeper.close()

    async def load(self) -> None:
        """Take up the stored watches without a clock: `step` takes the place of time."""
        await self._keeper.load()

    async def step(self) -> None:
        """Give every watch that is due its turn, and wait for them."""
        await self._keeper.step()

    # What callers ask

    async def create(self, caller: Principal, setup: Setup) -> tuple[Watch, str | None]:
        """Keep a question answered from now on; the first answer follows.

        Returns:
            The watch, and the secret that its webhook deliveries are signed with: shown this once.

        Raises:
            NotFound: there is no such model or library for the caller.
            BadRequest: there is nothing to keep answered.
        """
        await self._check(caller, setup)
        if len(await self.list(caller)) >= _MOST_WATCHES:
            raise BadRequest(f"You keep {_MOST_WATCHES} watches, which is the most. Delete some.")
        now = self._clock.now()
        watch = Watch(id=new_id(ID_PREFIX), setup=setup, created_at=now, key_id=caller.key_id)
        secret = _secret() if setup.webhook else None
        await asyncio.to_thread(self._store.add, caller.scope, watch, secret)
        self._keeper.know(caller.scope, watch)
        self._keeper.schedule(watch.id)
        return watch, secret

    async def list(self, caller: Principal) -> Sequence[Watch]:
        """The caller's watches, the oldest first."""
        return await asyncio.to_thread(self._store.list, caller.scope)

    async def get(self, caller: Principal, watch_id: str) -> Watch:
        """One of the caller's watches; NotFound where it is not."""
        return await asyncio.to_thread(self._store.get, caller.scope, watch_id)

    async def update(
        self, caller: Principal, watch_id: str, setup: Setup, *, new_secret: bool = False
    ) -> tuple[Watch, str | None]:
        """Give a watch another setup; it is answered again where that asks for something else.

        Returns:
            The watch, and its new secret where it was asked for or there was none.
        """
        await self._check(caller, setup)

        def changed(old: Watch) -> Watch:
            watch = msgspec.structs.replace(old, setup=setup, key_id=caller.key_id)
            if setup.asks == old.setup.asks:
                return watch
            return msgspec.structs.replace(
                watch, answer=None, evidence=(), shown={}, state="answering"
            )

        signs = await asyncio.to_thread(self._store.signs, caller.scope, watch_id)
        secret = _secret() if setup.webhook and (new_secret or not signs) else None
        watch = await self._change(caller, watch_id, changed, secret)
        self._keeper.schedule(watch_id)
        return watch, secret

    async def pause(self, caller: Principal, watch_id: str) -> Watch:
        """Let a watch rest until it is resumed."""

        def paused(old: Watch) -> Watch:
            return msgspec.structs.replace(
                old, state="paused", by_owner=True, reason="You paused it."
            )

        watch = await self._change(caller, watch_id, paused)
        await self._stop_listening(caller.scope, watch)
        return watch

    async def resume(self, caller: Principal, watch_id: str) -> Watch:
        """Go on with a watch, for whoever resumes it: with the caller's key from now on."""

        def resumed(old: Watch) -> Watch:
            return msgspec.structs.replace(old, by_owner=False, key_id=caller.key_id)

        watch = await self._change(caller, watch_id, resumed)
        self._keeper.schedule(watch_id)
        return watch

    async def delete(self, caller: Principal, watch_id: str) -> None:
        """Remove a watch with all that happened to it."""
        watch = await self.get(caller, watch_id)
        await asyncio.to_thread(self._store.remove, caller.scope, watch_id)
        self._keeper.forget(watch_id)
        await self._stop_listening(caller.scope, watch)

    async def events(
        self, caller: Principal, watch_id: str, *, before: int | None = None, limit: int = 100
    ) -> Sequence[WatchEvent]:
        """What happened to a watch, the latest first."""
        await self.get(caller, watch_id)
        return await asyncio.to_thread(
            self._store.events,
            caller.scope,
            watch_id=watch_id,
            before=before,
            limit=limit,
            latest=True,
        )

    async def since(self, caller: Principal, after: int) -> Sequence[WatchEvent]:
        """What happened to the caller's watches after the event of that number, in its order."""
        return await asyncio.to_thread(self._store.events, caller.scope, after=after)

    async def deliveries(self, caller: Principal, watch_id: str) -> Sequence[Delivery]:
        """How a watch's webhook was told, the latest first."""
        await self.get(caller, watch_id)
        return await asyncio.to_thread(self._store.deliveries, caller.scope, watch_id)

    async def follow(
        self, caller: Principal, after: int | None = None
    ) -> AsyncGenerator[WatchEvent]:
        """What happens to the caller's watches after the event of a number, or from now on."""
        if after is None:
            after = await asyncio.to_thread(self._store.last_number, caller.scope)
        return self._told(caller, after)

    async def _told(self, caller: Principal, last: int) -> AsyncGenerator[WatchEvent]:
        news = asyncio.Event()
        readers = self._readers[caller.workspace_id, caller.person_id]
        readers.add(news)
        try:
            while True:
                news.clear()
                while told := await self.since(caller, last):
                    for event in told:
                        last = event.number
                        yield event
                await news.wait()
        finally:
            readers.discard(news)

    async def _change(
        self,
        caller: Principal,
        watch_id: str,
        how: Callable[[Watch], Watch],
        secret: str | None = None,
    ) -> Watch:
        watch = await asyncio.to_thread(self._store.change, caller.scope, watch_id, how, secret)
        self._keeper.know(caller.scope, watch)
        return watch

    def _publish(self, owner: Scope, _: WatchEvent) -> None:
        for news in self._readers.get((owner.workspace_id or "", owner.person_id or ""), ()):
            news.set()

    async def _stop_listening(self, scope: Scope, watch: Watch) -> None:
        # What is not removed now is told of and not known, which does no harm.
        with contextlib.suppress(PonantError):
            if watch.setup.kind == "sql":
                await self._live.relations.remove_query(scope, watch.id)
            else:
                await self._live.standing.remove(scope, watch.id)

    async def _check(self, caller: Principal, setup: Setup) -> None:
        if not setup.query.strip():
            raise BadRequest("There is nothing to keep answered. Say what.", param="query")
        if setup.kind == "sql":
            await self._live.relations.query(caller.scope, setup.query, None, 1)
        elif not setup.library_ids:
            raise BadRequest("A watch needs libraries to look into.", param="library_ids")
        for library_id in setup.library_ids:
            await self._live.get_library(caller.scope, library_id)
        if setup.webhook is not None:
            await self._webhooks.check(setup.webhook)
        if setup.kind == "question":
            await self._answerer.check(caller, setup.model)


def _secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
