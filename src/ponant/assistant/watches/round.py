"""One turn of a watch: search, and where the evidence moved, answer again and compare."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from ponant.accounts import Principal, Role
from ponant.assistant.schemas import Source
from ponant.assistant.watches.answering import Answerer, Made
from ponant.assistant.watches.facts import difference
from ponant.assistant.watches.moves import moves
from ponant.assistant.watches.port import Live, Owners
from ponant.assistant.watches.schemas import Answer, Happening, Watch, WatchEvent
from ponant.assistant.watches.store import WatchStore
from ponant.kit import Clock, PonantError, new_id
from ponant.kit.errors import (
    BadRequest,
    BudgetUsedUp,
    Forbidden,
    NotFound,
    TooManyRequests,
    Unauthorized,
)
from ponant.kit.sealing import CannotOpen
from ponant.live.port import Hit, PassageRef, SearchResult
from ponant.live.relations.port import Answer as Rows
from ponant.store import Scope

_MOST_CITED = 4
_MOST_ROWS = 500
_SOON = 60.0  # seconds; a limit that lasts longer is told
_LASTING = (BadRequest, Forbidden, NotFound, Unauthorized)


class Halted(Exception):
    """A watch cannot go on; the message says why and what mends it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn ended.

    Attributes:
        again: whether the evidence moved while it was being answered.
        caller: whom it ran for; None where nobody may keep it now.
    """

    watch: Watch
    event: WatchEvent | None
    again: bool
    caller: Principal | None


class Round:
    """Gives watches their turns."""

    def __init__(
        self, store: WatchStore, clock: Clock, live: Live, owners: Owners, answerer: Answerer
    ) -> None:
        self._store = store
        self._clock = clock
        self._live = live
        self._owners = owners
        self._answerer = answerer

    async def take(self, owner: Scope, watch_id: str) -> Outcome:
        """Bring a watch in step with its libraries.

        Raises:
            NotFound: there is no such watch any more.
            PonantError: something is not there for the moment; the turn is to be tried again.
        """
        watch = await asyncio.to_thread(self._store.get, owner, watch_id)
        if watch.by_owner:
            return Outcome(watch, None, again=False, caller=None)
        caller: Principal | None = None
        try:
            caller = await self._caller(owner, watch)
            await self._can_tell(owner, watch)
            await self._may_spend(caller, watch)
            if watch.setup.kind == "sql":
                return await self._ask_tables(caller, watch)
            watch = self._counted(watch)
            found = await self._search(caller, watch)
            return await self._compare(caller, watch, found)
        except Halted as e:
            return await self._pause(owner, watch, str(e), caller)

    async def _caller(self, owner: Scope, watch: Watch) -> Principal:
        caller = await asyncio.to_thread(self._owners.present, owner, watch.key_id)
        if caller is None:
            raise Halted(
                "Its owner is no longer a member here, or the key that it was made with was "
                "revoked. Resume it with another key."
            )
        if not caller.role.covers(Role.MEMBER):
            raise Halted(f"Its owner's role is {caller.role}, and answering needs member.")
        return caller

    async def _can_tell(self, owner: Scope, watch: Watch) -> None:
        if watch.setup.webhook is None:
            return
        try:
            await asyncio.to_thread(self._store.secret, owner, watch.id)
        except CannotOpen as e:
            raise Halted(str(e)) from e

    async def _may_spend(self, caller: Principal, watch: Watch) -> None:
        try:
            await self._answerer.may_spend(caller, watch)
        except BudgetUsedUp as e:
            raise Halted(e.message) from e

    async def is_spent(self, caller: Principal, watch: Watch) -> bool:
        """Whether a watch is to pause, though nothing moved."""
        try:
            await self._answerer.may_spend(caller, watch)
        except BudgetUsedUp:
            return True
        return False

    def _counted(self, watch: Watch) -> Watch:
        """The watch on its present day, with the calls that are left on it."""
        day = self._clock.now().date().isoformat()
        if watch.day != day:
            watch = msgspec.structs.replace(watch, day=day, calls_today=0)
        if watch.calls_today >= watch.setup.daily_calls:
            raise Halted(
                f"It has asked a model {watch.calls_today} times today, which is its limit "
                "(daily_calls). It goes on tomorrow (UTC)."
            )
        return watch

    async def _search(self, caller: Principal, watch: Watch) -> SearchResult:
        setup = watch.setup
        try:
            return await self._live.search(
                caller.scope, list(setup.library_ids), setup.query, setup.limit
            )
        except NotFound as e:
            raise Halted(e.message) from e

    async def _with_cited(
        self, caller: Principal, watch: Watch, found: SearchResult
    ) -> tuple[Hit, ...]:
        """What was found, and behind it what the answer cites and is still as it was.

        A passage that others outrank is no less true for that.
        """
        names = {one.passage_id for one in found.hits}
        cited = [one for one in watch.cited if one.passage_id not in names][:_MOST_CITED]
        if not cited:
            return found.hits
        refs = [PassageRef(id=one.passage_id, hash=one.hash) for one in cited]
        states = await self._live.check_passages(caller.scope, refs)
        kept = list(found.hits)
        for state in states:
            if state.state == "current":
                with contextlib.suppress(NotFound):
                    view = await self._live.get_passage(caller.scope, state.id)
                    kept.append(view.passage)
        return tuple(kept)

    async def _compare(self, caller: Principal, watch: Watch, found: SearchResult) -> Outcome:
        retrieved = found.hits
        found = msgspec.structs.replace(found, hits=await self._with_cited(caller, watch, found))
        sources = tuple(Source.of(number, hit) for number, hit in enumerate(found.hits, 1))
        before, now = watch, self._clock.now()
        event: WatchEvent | None = None
        if watch.answer is None or _names(sources) != _names(watch.evidence):
            made = await self._answer(caller, watch, found)
            event = await self._event(caller, before, made, sources, found)
            watch = _answered(_spent(watch, made), event, sources, now)
        elif watch.state == "paused":
            event = self._happened(watch, "resumed", "")
        watch = msgspec.structs.replace(
            watch,
            state="in_step",
            reason="",
            version=found.version,
            as_of=found.as_of,
            marks=caller.marks,
        )
        watch, event = await asyncio.to_thread(self._store.put, caller.scope, watch, event)
        again = not watch.by_owner and await self._stand(caller, watch, retrieved)
        return Outcome(watch, event, again=again, caller=caller)

    async def _ask_tables(self, caller: Principal, watch: Watch) -> Outcome:
        """Ask a statement again; its rows are the answer, and no model is needed."""
        try:
            await self._live.relations.put_query(caller.scope, watch.id, watch.setup.query)
            found = await self._live.relations.query(
                caller.scope, watch.setup.query, None, _MOST_ROWS
            )
        except (BadRequest, NotFound) as e:
            raise Halted(e.message) from e
        names = [column.name for column in found.columns]
        rows = tuple(dict(zip(names, row, strict=True)) for row in found.rows)
        answer = Answer(rows=rows, tables=found.tables)
        event = self._of_rows(watch, answer, found)
        if event is not None and event.new is not None:
            watch = _answered(watch, event, (), event.at)
        watch = msgspec.structs.replace(
            watch,
            state="in_step",
            reason="",
            version=found.version,
            as_of=found.as_of,
            marks=caller.marks,
        )
        watch, event = await asyncio.to_thread(self._store.put, caller.scope, watch, event)
        return Outcome(watch, event, again=False, caller=caller)

    def _of_rows(self, watch: Watch, answer: Answer, found: Rows) -> WatchEvent | None:
        reason = "" if watch.answer is None else _rows_differ(watch.answer, answer)
        if watch.answer is not None and not reason:
            return self._happened(watch, "resumed", "") if watch.state == "paused" else None
        return WatchEvent(
            id=new_id("evt"),
            watch_id=watch.id,
            happening="changed" if reason else "answered",
            at=self._clock.now(),
            old=watch.answer,
            new=answer,
            version=found.version,
            as_of=found.as_of,
            reason=reason,
        )

    async def _answer(self, caller: Principal, watch: Watch, found: SearchResult) -> Made:
        try:
            return await self._answerer.answer(caller, watch, found.hits)
        except _LASTING as e:
            raise Halted(e.message) from e
        except TooManyRequests as e:
            if (e.retry_after or 0.0) < _SOON:
                raise  # tried again before anybody need know
            if isinstance(e, BudgetUsedUp):
                raise Halted(e.message) from e
            raise Halted(f"{e.message} It goes on by itself when that allows it.") from e

    async def _event(
        self,
        caller: Principal,
        watch: Watch,
        made: Made,
        sources: tuple[Source, ...],
        found: SearchResult,
    ) -> WatchEvent:
        happening: Happening = "answered"
        reason = ""
        if watch.answer is not None:
            reason = _difference(watch, made.answer)
            happening = "changed" if reason else "stands"
        moved = await moves(self._live, caller.scope, watch.evidence, sources)
        return WatchEvent(
            id=new_id("evt"),
            watch_id=watch.id,
            happening=happening,
            at=self._clock.now(),
            old=watch.answer,
            new=made.answer,
            moved=moved if watch.answer is not None else (),
            version=found.version,
            as_of=found.as_of,
            reason=reason,
            calls=made.calls,
        )

    async def _stand(self, caller: Principal, watch: Watch, retrieved: Sequence[Hit]) -> bool:
        """Have live knowledge tell of what comes next; whether something came already."""
        setup = watch.setup
        try:
            return await self._live.standing.put(
                caller.scope,
                watch.id,
                list(setup.library_ids),
                setup.query,
                setup.limit,
                [PassageRef(id=one.passage_id, hash=one.hash) for one in retrieved],
                [PassageRef(id=one.passage_id, hash=one.hash) for one in watch.cited],
            )
        except NotFound:
            return True  # a library went away meanwhile: the next turn says so

    async def _pause(
        self, owner: Scope, watch: Watch, reason: str, caller: Principal | None
    ) -> Outcome:
        if watch.state == "paused" and watch.reason == reason:
            return Outcome(watch, None, again=False, caller=caller)
        watch = msgspec.structs.replace(watch, state="paused", reason=reason)
        event = self._happened(watch, "paused", reason)
        watch, told = await asyncio.to_thread(self._store.put, owner, watch, event)
        return Outcome(watch, told, again=False, caller=caller)

    def _happened(self, watch: Watch, happening: Happening, reason: str) -> WatchEvent:
        return WatchEvent(
            id=new_id("evt"),
            watch_id=watch.id,
            happening=happening,
            at=self._clock.now(),
            version=watch.version,
            as_of=watch.as_of,
            reason=reason,
        )


def retry_after(error: PonantError, tries: int) -> timedelta:
    """How long to wait before a turn is tried again."""
    return timedelta(seconds=max(error.retry_after or 0, min(2.0**tries, 600)))


def _difference(watch: Watch, answer: Answer) -> str:
    if watch.setup.kind == "search":
        return "The passages found are other ones."
    return difference(watch.setup.query, watch.answer or Answer(), answer)


def _rows_differ(old: Answer, new: Answer) -> str:
    """How many rows came and went, whatever their order; empty where none did."""
    before, after = (
        Counter(msgspec.json.encode(row, order="sorted") for row in one.rows) for one in (old, new)
    )
    came, went = (after - before).total(), (before - after).total()
    if not came and not went:
        return ""
    return f"{came} {'row' if came == 1 else 'rows'} came, {went} went."


def _spent(watch: Watch, made: Made) -> Watch:
    return msgspec.structs.replace(
        watch,
        shown=made.shown,
        calls=watch.calls + made.calls,
        calls_today=watch.calls_today + made.calls,
    )


def _answered(watch: Watch, event: WatchEvent, sources: tuple[Source, ...], now: object) -> Watch:
    changed_at = now if event.happening == "changed" else watch.changed_at
    # The newest wording stays, so that its citations are of passages that are there.
    return msgspec.structs.replace(
        watch, answer=event.new, evidence=sources, answered_at=now, changed_at=changed_at
    )


def _names(sources: tuple[Source, ...]) -> frozenset[tuple[str, str]]:
    return frozenset((one.passage_id, one.hash) for one in sources)
