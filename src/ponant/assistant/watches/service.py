"""Watches: kept, given their turns when their evidence moves, and told of."""

import asyncio
import base64
import contextlib
import secrets
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec
import structlog

from ponant.accounts import Principal
from ponant.assistant.grounding import Judge
from ponant.assistant.port import Models
from ponant.assistant.watches.answering import Answerer
from ponant.assistant.watches.port import Live, Owners
from ponant.assistant.watches.round import Outcome, Round, retry_after
from ponant.assistant.watches.schemas import Delivery, Setup, Watch, WatchEvent
from ponant.assistant.watches.store import DELIVERED, WatchStore
from ponant.assistant.watches.webhooks import Webhooks
from ponant.billing import Ledger
from ponant.kit import Clock, PonantError, new_id
from ponant.kit.errors import BadRequest, NotFound
from ponant.kit.network import Network
from ponant.live.port import Notice
from ponant.store import Database, Scope

_LOOK_ROUND = timedelta(seconds=30)  # at what no notice tells: permissions, pauses, restarts
_TRY_PAUSED = timedelta(seconds=60)
_AT_ONCE = 2  # answers at the same time
_MOST_WATCHES = 10_000  # of one person
_MOST_WAITING = 1000  # events that a slow reader may be behind

log = structlog.get_logger()


class Watches:
    """The watches of an installation; every method acts for its caller alone.

    Args:
        owners: says what the owner of a watch may do now.
        judging: the judge of what supports an answer.
        network: the addresses that webhooks may have; public ones by default.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        models: Models,
        live: Live,
        ledger: Ledger,
        owners: Owners,
        judging: Callable[[], Awaitable[Judge]],
        network: Network | None = None,
    ) -> None:
        self._store = WatchStore(database)
        self._webhooks = Webhooks(self._store, clock, network or Network())
        self._clock = clock
        self._live = live
        self._owners = owners
        self._answerer = Answerer(models, ledger, judging)
        self._round = Round(self._store, clock, live, owners, self._answerer)
        self._places: dict[str, Scope] = {}
        self._due: dict[str, datetime] = {}
        self._answered: dict[str, datetime] = {}
        self._setups: dict[str, Watch] = {}
        self._tries: defaultdict[str, int] = defaultdict(int)
        self._marks: dict[str, tuple[str, ...]] = {}
        self._readers: defaultdict[tuple[str, str], set[asyncio.Queue[WatchEvent]]] = defaultdict(
            set
        )
        self._wake = asyncio.Event()
        self._looked_round: datetime | None = None
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    # Life

    async def start(self) -> None:
        """Take up the stored watches, and keep them."""
        await self.load()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Keep them no more; what is stored is taken up at the next start."""
        tasks = [
            *self._running.values(),
            *self._webhooks.running,
            *([self._task] if self._task else []),
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def load(self) -> None:
        """Bring the stored watches to mind and listen to their evidence."""
        self._live.notices("standing", self._noticed)
        for owner in await asyncio.to_thread(self._store.owners):
            await self._webhooks.load(owner)
            for watch in await asyncio.to_thread(self._store.list, owner):
                self._know(owner, watch)
                if watch.state != "in_step" and not watch.by_owner:
                    self._due[watch.id] = self._clock.now()

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
        watch = Watch(id=new_id("wat"), setup=setup, created_at=now, key_id=caller.key_id)
        secret = _secret() if setup.webhook else None
        await asyncio.to_thread(self._store.add, caller.scope, watch, secret)
        self._know(caller.scope, watch)
        self._schedule(watch.id, now)
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
        old = await self.get(caller, watch_id)
        watch = msgspec.structs.replace(old, setup=setup, key_id=caller.key_id)
        if _asks(setup) != _asks(old.setup):
            watch = msgspec.structs.replace(watch, answer=None, evidence=(), state="answering")
        kept = await asyncio.to_thread(self._store.secret, caller.scope, watch_id)
        secret = _secret() if setup.webhook and (new_secret or kept is None) else None
        await asyncio.to_thread(self._store.change, caller.scope, watch, secret)
        self._know(caller.scope, watch)
        self._schedule(watch_id, self._clock.now())
        return watch, secret

    async def pause(self, caller: Principal, watch_id: str) -> Watch:
        """Let a watch rest until it is resumed."""
        watch = await self.get(caller, watch_id)
        watch = msgspec.structs.replace(
            watch, state="paused", by_owner=True, reason="You paused it."
        )
        await asyncio.to_thread(self._store.change, caller.scope, watch, None)
        self._know(caller.scope, watch)
        self._due.pop(watch_id, None)
        with contextlib.suppress(PonantError):
            await self._live.standing.remove(caller.scope, watch_id)
        return watch

    async def resume(self, caller: Principal, watch_id: str) -> Watch:
        """Go on with a watch, for whoever resumes it: with the caller's key from now on."""
        watch = await self.get(caller, watch_id)
        watch = msgspec.structs.replace(watch, by_owner=False, key_id=caller.key_id)
        await asyncio.to_thread(self._store.change, caller.scope, watch, None)
        self._know(caller.scope, watch)
        self._schedule(watch_id, self._clock.now())
        return watch

    async def delete(self, caller: Principal, watch_id: str) -> None:
        """Remove a watch with all that happened to it."""
        await asyncio.to_thread(self._store.remove, caller.scope, watch_id)
        self._forget(watch_id)
        with contextlib.suppress(PonantError):
            await self._live.standing.remove(caller.scope, watch_id)

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
        """What happens to the caller's watches, from now on or after the event of a number."""
        queue: asyncio.Queue[WatchEvent] = asyncio.Queue(_MOST_WAITING)
        readers = self._readers[caller.workspace_id, caller.person_id]
        readers.add(queue)
        last = after or 0
        try:
            while after is not None:
                missed = await self.since(caller, last)
                for event in missed:
                    last = event.number
                    yield event
                if not missed:
                    break
            while True:
                event = await queue.get()
                if event.number > last:
                    last = event.number
                    yield event
        finally:
            readers.discard(queue)

    # What keeps them going

    async def step(self) -> None:
        """Give every watch that is due its turn, and wait for them."""
        await self._begin()
        await asyncio.gather(*self._running.values())
        self._webhooks.begin(self._clock.now())
        await asyncio.gather(*self._webhooks.running)

    async def _begin(self) -> None:
        now = self._clock.now()
        await self._look_round_at(now)
        due = (one for one, at in self._due.items() if at <= now and one not in self._running)
        for watch_id in sorted(due):
            del self._due[watch_id]
            self._running[watch_id] = task = asyncio.create_task(self._turn(watch_id))
            task.add_done_callback(partial(self._ended, watch_id))
        self._webhooks.begin(now)

    def _ended(self, watch_id: str, _: "asyncio.Task[None]") -> None:
        self._running.pop(watch_id, None)
        self._wake.set()

    async def _run(self) -> None:
        while True:
            try:
                await self._begin()
            except Exception:
                log.exception("watches were not given their turns")
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()

    def _pause(self) -> float:
        """Seconds until something is due."""
        now = self._clock.now()
        waiting = [at for one, at in self._due.items() if one not in self._running]
        next_at = min(waiting, default=now + _LOOK_ROUND)
        if self._looked_round is not None:
            next_at = min(next_at, self._looked_round + _LOOK_ROUND)
        if (delivery := self._webhooks.next_at) is not None:
            next_at = min(next_at, delivery)
        return max((next_at - now).total_seconds(), 0.05)

    async def _turn(self, watch_id: str) -> None:
        owner = self._places.get(watch_id)
        if owner is None:
            return
        async with self._turns:
            try:
                outcome = await self._round.take(owner, watch_id)
            except NotFound:
                self._forget(watch_id)
                return
            except PonantError as e:
                self._tries[watch_id] += 1
                wait = retry_after(e, self._tries[watch_id])
                log.info("a watch is tried again", watch=watch_id, reason=e.message)
                self._due.setdefault(watch_id, self._clock.now() + wait)
                return
            except Exception:
                log.exception("a watch failed", watch=watch_id)
                self._due.setdefault(watch_id, self._clock.now() + _TRY_PAUSED)
                return
        self._took(owner, outcome)

    def _took(self, owner: Scope, outcome: Outcome) -> None:
        watch, now = outcome.watch, self._clock.now()
        self._tries.pop(watch.id, None)
        if watch.id not in self._places:
            return  # deleted meanwhile
        self._know(owner, watch)
        if outcome.caller is not None:
            self._marks[watch.id] = outcome.caller.marks
        if outcome.event is not None:
            if outcome.event.happening in {"changed", "stands"}:
                self._answered[watch.id] = now
            self._publish(owner, outcome.event)
            if watch.setup.webhook and outcome.event.happening in DELIVERED:
                self._webhooks.add(owner, outcome.event)
                self._wake.set()
        if outcome.again:
            self._moved(watch.id)
        elif watch.state == "paused" and not watch.by_owner:
            self._due.setdefault(watch.id, now + _TRY_PAUSED)

    def _noticed(self, notice: Notice) -> None:
        for watch_id in notice.keys:
            self._moved(watch_id)

    def _moved(self, watch_id: str) -> None:
        """A watch's evidence moved: let others join it, and keep the pace."""
        watch = self._setups.get(watch_id)
        if watch is None or watch.by_owner:
            return
        at = self._clock.now() + timedelta(seconds=watch.setup.settle)
        last = self._answered.get(watch_id)
        if last is not None:
            at = max(at, last + timedelta(seconds=watch.setup.every))
        self._schedule(watch_id, at)

    def _schedule(self, watch_id: str, at: datetime) -> None:
        self._due[watch_id] = min(at, self._due.get(watch_id, at))
        self._wake.set()

    async def _look_round_at(self, now: datetime) -> None:
        """See what no notice tells of: who may no longer, and what the live process forgot."""
        if self._looked_round is not None and now - self._looked_round < _LOOK_ROUND:
            return
        self._looked_round = now
        awake = {one: scope for one, scope in self._places.items() if self._is_awake(one)}
        try:
            await self._look_at_owners(awake, now)
            await self._look_at_live(awake)
        except PonantError as e:
            log.info("watches were not looked over", reason=e.message)

    async def _look_at_owners(self, awake: dict[str, Scope], now: datetime) -> None:
        present: dict[tuple[Scope, str | None], Principal | None] = {}
        for watch_id, owner in awake.items():
            key = owner, self._setups[watch_id].key_id
            if key not in present:
                present[key] = await asyncio.to_thread(self._owners.present, *key)
            caller = present[key]
            known = self._marks.get(watch_id)
            if caller is None or (known is not None and caller.marks != known):
                self._schedule(watch_id, now)

    async def _look_at_live(self, awake: dict[str, Scope]) -> None:
        spaces: defaultdict[str, list[str]] = defaultdict(list)
        for watch_id, owner in awake.items():
            spaces[owner.workspace_id or ""].append(watch_id)
        for workspace_id, ids in spaces.items():
            scope = Scope(workspace_id=workspace_id)
            for watch_id in await self._live.standing.moved(scope):
                if watch_id in awake:
                    self._moved(watch_id)
            for watch_id in await self._live.standing.missing(scope, ids):
                self._moved(watch_id)

    def _is_awake(self, watch_id: str) -> bool:
        watch = self._setups[watch_id]
        return watch.state == "in_step"

    def _publish(self, owner: Scope, event: WatchEvent) -> None:
        for queue in list(self._readers[owner.workspace_id or "", owner.person_id or ""]):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    def _know(self, owner: Scope, watch: Watch) -> None:
        self._places[watch.id] = Scope(owner.organisation_id, owner.workspace_id, owner.person_id)
        self._setups[watch.id] = msgspec.structs.replace(watch, answer=None, evidence=())

    def _forget(self, watch_id: str) -> None:
        self._places.pop(watch_id, None)
        self._setups.pop(watch_id, None)
        self._due.pop(watch_id, None)
        self._answered.pop(watch_id, None)
        self._marks.pop(watch_id, None)

    async def _check(self, caller: Principal, setup: Setup) -> None:
        if not setup.query.strip():
            raise BadRequest("There is nothing to keep answered. Say what.", param="query")
        if not setup.library_ids:
            raise BadRequest("A watch needs libraries to look into.", param="library_ids")
        for library_id in setup.library_ids:
            await self._live.get_library(caller.scope, library_id)
        if setup.webhook is not None:
            await self._webhooks.check(setup.webhook)
        if setup.kind == "question":
            await self._answerer.check(caller, setup.model)


def _asks(setup: Setup) -> tuple[object, ...]:
    return setup.kind, setup.query, setup.model, setup.library_ids, setup.limit


def _secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
