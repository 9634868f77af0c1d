"""Budgets: tokens that a workspace, or a person in it, may use in a month (UTC).

A request reserves the most that it may take before it runs, and what it took is settled with its
row in the ledger, in one transaction: requests side by side cannot use more than there is. At every
moment a counter is the sum of the ledger and of what is reserved.

Whose budgets there are is kept in mind, so that those without one pay nothing for those with. What
another process set is seen within seconds, and counted anew from the ledger then: what this process
wrote meanwhile was not counted.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

import anyio
import structlog
from sqlalchemy.orm import Session

from ponant.accounts import Principal, Role
from ponant.billing import counters
from ponant.billing.counters import WORKSPACE, Moves, Subject
from ponant.billing.months import bounds, in_words, month_of
from ponant.billing.schemas import Budget, UsageEvent
from ponant.kit import Clock, new_id
from ponant.kit.errors import BudgetUsedUp, Forbidden, NotFound, PonantError
from ponant.store import Database, Scope

LEASE = timedelta(hours=1)  # longer than a generation takes
_LOOK_SECONDS = 5.0
_UNDER_WAY = 5.0  # seconds after which what others hold may have come free

log = structlog.get_logger()


class Budgets:
    """Sets budgets, and holds requests to them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known: frozenset[Subject] = frozenset()
        self._task: asyncio.Task[None] | None = None

    # Life

    async def start(self) -> None:
        """Learn whose budgets there are, and keep to what other processes set."""
        await asyncio.to_thread(self._begin)
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Follow no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def refresh(self) -> None:
        """See what other processes set."""
        with self._database.read() as session:
            found = counters.subjects(session)
        if found != self._known:
            with self._learning():
                pass

    def _begin(self) -> None:
        with self._learning() as session:
            if not self._database.is_server:
                # A file has one server process, and this is it: an earlier one was cut off.
                for workspace_id in {subject[0] for subject in counters.subjects(session)}:
                    scope = Scope(workspace_id=workspace_id)
                    counters.move(session, counters.end_all(session, scope))

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await asyncio.to_thread(self.refresh)
            except PonantError as e:
                log.info("budgets were not looked at", reason=e.message)

    @contextmanager
    def _learning(self) -> Iterator[Session]:
        """A transaction that ends with taking up who has a budget now.

        Writes take turns, so that every row of the ledger either is there already when a counter
        is made of it, or moves that counter.
        """
        before = self._known
        try:
            with self._database.write() as session:
                yield session
                found = counters.subjects(session)
                for subject in found - before:
                    counters.forget(session, subject)
                self._known = found
        except BaseException:
            self._known = before  # nothing was stored: what was learnt is to be learnt again
            raise

    # What administrators do

    def set(self, caller: Principal, tokens: int, person_id: str | None = None) -> Budget:
        """Give the workspace, or a person in it, so many tokens a month.

        What was used this month counts. The caller sees to it that the person is a member.

        Raises:
            Forbidden: the caller is no administrator.
        """
        _administer(caller)
        subject = caller.workspace_id, person_id or WORKSPACE
        with self._learning() as session:
            counters.set_limit(session, subject, tokens)
        with self._database.read() as session:
            return self._state(session, subject, tokens)

    def remove(self, caller: Principal, person_id: str | None = None) -> None:
        """Let the workspace, or a person, use as much as there is.

        Raises:
            Forbidden: the caller is no administrator.
            NotFound: there is no such budget.
        """
        _administer(caller)
        subject = caller.workspace_id, person_id or WORKSPACE
        with self._learning() as session:
            if not counters.remove_limit(session, subject):
                raise NotFound("There is no such budget. `ponant budget list` shows which are set.")

    def list(self, caller: Principal) -> Sequence[Budget]:
        """The workspace's budgets as they stand: all for an administrator, else the caller's."""
        own = {WORKSPACE, caller.person_id}
        with self._database.read() as session:
            return [
                self._state(session, (caller.workspace_id, person_id), tokens)
                for person_id, tokens in counters.limits(session, caller.workspace_id).items()
                if caller.role.covers(Role.ADMIN) or person_id in own
            ]

    def _state(self, session: Session, subject: Subject, tokens: int) -> Budget:
        month, (workspace_id, person_id) = month_of(self._clock.now()), subject
        scope = Scope(workspace_id=workspace_id)
        reserved = counters.reserved(session, scope, person_id, month)
        used = counters.counted(session, scope, person_id, month) - reserved
        return Budget(
            person_id=person_id or None,
            tokens=tokens,
            used=used,
            reserved=reserved,
            left=max(tokens - used - reserved, 0),
            month=month,
            ends_at=bounds(month)[1],
        )

    # What requests do

    def apply_to(self, caller: Principal) -> bool:
        """Whether the caller is held to a budget; a look at what is in mind."""
        known = self._known
        return bool(known) and (
            (caller.workspace_id, WORKSPACE) in known
            or (caller.workspace_id, caller.person_id) in known
        )

    def are_none(self) -> bool:
        """Whether nobody is held to a budget, as long as no other transaction can write."""
        return not self._known

    async def check(self, caller: Principal) -> None:
        """Raise BudgetUsedUp where nothing is left of a budget that the caller is held to."""
        if self.apply_to(caller):
            for budget in await asyncio.to_thread(self.list, caller):
                if budget.person_id in (None, caller.person_id) and budget.used >= budget.tokens:
                    raise self._used_up(budget)

    @asynccontextmanager
    async def held(self, caller: Principal, most: Callable[[], int]) -> AsyncGenerator[str | None]:
        """Hold what a request may take for the block, which settles it with the ledger.

        Args:
            most: tells the most tokens that the request may take; asked where a budget applies.

        Raises:
            BudgetUsedUp: that is not left.
        """
        if not self.apply_to(caller):
            yield None
            return
        reservation = await self.reserve(caller, most())
        try:
            yield reservation
        except BaseException:
            await self.release(caller, reservation)
            raise

    async def reserve(self, caller: Principal, tokens: int) -> str:
        """Put tokens aside; returns the name of the reservation.

        Raises:
            BudgetUsedUp: not so many are left.
        """
        name = new_id("hold")
        work = asyncio.ensure_future(asyncio.to_thread(self._reserve, caller, tokens, name))
        try:
            refused = await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait({work})
            await self.release(caller, name)
            raise
        if refused is not None:
            raise refused
        return name

    async def release(self, caller: Principal, reservation: str) -> None:
        """Give back what is still held; what was settled holds nothing any more."""
        with (
            anyio.CancelScope(shield=True),
            contextlib.suppress(PonantError),
        ):  # else its lease ends
            await asyncio.to_thread(self._release, caller, reservation)

    def _reserve(self, caller: Principal, tokens: int, name: str) -> BudgetUsedUp | None:
        now, scope = self._clock.now(), Scope(workspace_id=caller.workspace_id)
        month = month_of(now)
        with self._database.write(soon=True) as session:
            counters.move(session, counters.end_overdue(session, scope, now))
            for person_id, limit in counters.limits(session, caller.workspace_id).items():
                if person_id not in (WORKSPACE, caller.person_id):
                    continue
                if counters.keep(session, scope, person_id, month) + tokens > limit:
                    subject = caller.workspace_id, person_id
                    return self._refusal(self._state(session, subject, limit), tokens)
            counters.reserve(
                session,
                {
                    "id": name,
                    "workspace_id": caller.workspace_id,
                    "person_id": caller.person_id,
                    "month": month,
                    "tokens": tokens,
                    "until": now + LEASE,
                },
            )
        return None

    def _release(self, caller: Principal, reservation: str) -> None:
        with self._database.write(soon=True) as session:
            scope = Scope(workspace_id=caller.workspace_id)
            counters.move(session, counters.end(session, scope, [reservation]))

    # What the ledger does

    def settle(
        self, session: Session, events: Iterable[UsageEvent], held: Iterable[tuple[str, str]]
    ) -> None:
        """Count what was written to the ledger in this transaction, and end its reservations.

        Args:
            held: reservations, each with the workspace that it is of.
        """
        moves: Moves = Counter()
        for workspace_id, reservation in held:
            moves.update(counters.end(session, Scope(workspace_id=workspace_id), [reservation]))
        for event in events if self._known else ():
            tokens = event.prompt_tokens + event.completion_tokens
            moves.update(
                counters.moved(
                    event.workspace_id, event.person_id, month_of(event.occurred_at), tokens
                )
            )
        counters.move(session, moves)

    # Words

    def _refusal(self, budget: Budget, tokens: int) -> BudgetUsedUp:
        if budget.used >= budget.tokens:
            return self._used_up(budget)
        month, ends = in_words(budget.month)
        if budget.used + tokens > budget.tokens:
            return BudgetUsedUp(
                f"This may take up to {tokens:,} tokens, and less is left of {_whose(budget)} "
                f"budget for {month} ({budget.tokens:,} tokens). Ask for less (max_tokens), or "
                f"wait until {ends} (UTC).",
                retry_after=self._wait(budget),
            )
        return BudgetUsedUp(
            f"Requests under way hold what is left of {_whose(budget)} budget for {month} "
            f"({budget.tokens:,} tokens). Try again in a moment.",
            retry_after=_UNDER_WAY,
        )

    def _used_up(self, budget: Budget) -> BudgetUsedUp:
        month, ends = in_words(budget.month)
        return BudgetUsedUp(
            f"The tokens of {_whose(budget)} budget for {month} are used up ({budget.tokens:,}). "
            f"It goes on by itself on {ends} (UTC), or as soon as an administrator raises it.",
            retry_after=self._wait(budget),
        )

    def _wait(self, budget: Budget) -> float:
        return (budget.ends_at - self._clock.now()).total_seconds()


def _whose(budget: Budget) -> str:
    return "this workspace's" if budget.person_id is None else "your"


def _administer(caller: Principal) -> None:
    if not caller.role.covers(Role.ADMIN):
        raise Forbidden(f"This needs the role admin, and yours is {caller.role}.")
