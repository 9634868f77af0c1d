"""Gives watches their turns: when their evidence moves, at their pace, and by the clock."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec
import structlog

from ponant.accounts import Principal
from ponant.assistant.watches.port import Live, Owners
from ponant.assistant.watches.round import Outcome, Round, retry_after
from ponant.assistant.watches.schemas import Watch, WatchEvent
from ponant.assistant.watches.store import DELIVERED, WatchStore
from ponant.assistant.watches.webhooks import Webhooks
from ponant.kit import Clock, PonantError
from ponant.kit.errors import NotFound
from ponant.live.port import Notice
from ponant.store import Scope

_LOOK_ROUND = timedelta(seconds=30)  # at what no notice tells: permissions, pauses, restarts
_TRY_PAUSED = timedelta(seconds=60)
_SHORTEST_REST = 0.05  # seconds between two looks at what is due
_AT_ONCE = 2  # answers at the same time
_MOST_CHANGES = 1000  # of tables, that are looked at in one round

log = structlog.get_logger()


class Keeper:
    """Knows every watch of the installation and when it is due.

    Args:
        publish: told of each event after it is stored.
    """

    def __init__(
        self,
        store: WatchStore,
        clock: Clock,
        live: Live,
        owners: Owners,
        turns: Round,
        webhooks: Webhooks,
        publish: Callable[[Scope, WatchEvent], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._live = live
        self._owners = owners
        self._round = turns
        self._webhooks = webhooks
        self._publish = publish
        self._places: dict[str, Scope] = {}
        self._known: dict[str, Watch] = {}  # without their answers
        self._due: dict[str, datetime] = {}
        self._answered: dict[str, datetime] = {}
        self._tries: defaultdict[str, int] = defaultdict(int)
        self._seen_changes: defaultdict[str, int] = defaultdict(int)
        self._wake = asyncio.Event()
        self._looked_round: datetime | None = None
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Bring the stored watches to mind and listen to their evidence."""
        self._live.notices("standing", self._noticed)
        for owner in await asyncio.to_thread(self._store.owners):
            closed = await asyncio.to_thread(self._store.renew_secrets, owner)
            await self._webhooks.load(owner)
            for watch in await asyncio.to_thread(self._store.list, owner):
                self.know(owner, watch)
                # Tables are asked again at once, which needs no model.
                fresh = watch.state == "in_step" and watch.setup.kind != "sql"
                if (not fresh or watch.id in closed) and not watch.by_owner:
                    self.schedule(watch.id)

    def start(self) -> None:
        """Keep them by the clock."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Keep them no more; what is stored is taken up at the next start."""
        own = [self._task] if self._task else []
        tasks = [*self._running.values(), *self._webhooks.running, *own]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def know(self, owner: Scope, watch: Watch) -> None:
        """A watch is there, or stands otherwise now."""
        self._places[watch.id] = Scope(owner.organisation_id, owner.workspace_id, owner.person_id)
        self._known[watch.id] = msgspec.structs.replace(watch, answer=None, evidence=())
        if watch.by_owner:
            self._due.pop(watch.id, None)

    def forget(self, watch_id: str) -> None:
        """A watch is there no more."""
        for kept in (self._places, self._known, self._due, self._answered, self._tries):
            kept.pop(watch_id, None)

    def schedule(self, watch_id: str, at: datetime | None = None) -> None:
        """Give a watch its turn at a time, or now; an earlier one stays."""
        when = at or self._clock.now()
        self._due[watch_id] = min(when, self._due.get(watch_id, when))
        self._wake.set()

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
        return max((next_at - now).total_seconds(), _SHORTEST_REST)

    async def _turn(self, watch_id: str) -> None:
        owner = self._places.get(watch_id)
        if owner is None:
            return
        async with self._turns:
            try:
                outcome = await self._round.take(owner, watch_id)
            except NotFound:
                self.forget(watch_id)
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
        self.know(owner, watch)
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
        watch = self._known.get(watch_id)
        if watch is None or watch.by_owner:
            return
        at = self._clock.now() + timedelta(seconds=watch.setup.settle)
        last = self._answered.get(watch_id)
        if last is not None:
            at = max(at, last + timedelta(seconds=watch.setup.every))
        self.schedule(watch_id, at)

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
        spent: dict[tuple[Scope, str], bool] = {}  # what is asked of a model, and what is not
        for watch_id, owner in awake.items():
            watch = self._known[watch_id]
            key = owner, watch.key_id
            if key not in present:
                present[key] = await asyncio.to_thread(self._owners.present, *key)
            caller, account = present[key], (owner, watch.setup.kind)
            if caller is not None and account not in spent:
                spent[account] = await self._round.is_spent(caller, watch)
            if caller is None or caller.marks != watch.marks or spent[account]:
                self.schedule(watch_id, now)

    async def _look_at_live(self, awake: dict[str, Scope]) -> None:
        spaces: defaultdict[str, list[str]] = defaultdict(list)
        for watch_id, owner in awake.items():
            spaces[owner.workspace_id or ""].append(watch_id)
        for workspace_id, ids in spaces.items():
            scope = Scope(workspace_id=workspace_id)
            standing = [one for one in ids if self._known[one].setup.kind != "sql"]
            moved = await self._live.standing.missing(scope, standing)
            moved += await self._live.standing.moved(scope)
            if len(standing) < len(ids):
                moved += await self._changed_tables(scope)
            for watch_id in moved:
                if watch_id in awake:
                    self._moved(watch_id)

    async def _changed_tables(self, scope: Scope) -> Sequence[str]:
        """The statements whose rows changed since this was asked last."""
        seen = self._seen_changes[scope.workspace_id or ""]
        changes = await self._live.relations.all_changes(scope, seen, _MOST_CHANGES)
        self._seen_changes[scope.workspace_id or ""] = max([seen, *(one.seq for one in changes)])
        return [one.query for one in changes]

    def _is_awake(self, watch_id: str) -> bool:
        watch = self._known[watch_id]
        return watch.state == "in_step"
