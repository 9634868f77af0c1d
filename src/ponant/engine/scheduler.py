"""Decides which sequence gets how many tokens in the next step.

Continuous batching with one budget of tokens a step: sequences that decode get theirs first, what
is left goes to prompts, cut into chunks (Sarathi-Serve, arXiv 2403.02310), and what then is left
to drafts. Prompts go by priority, then by whose turn it is, then by arrival. A sequence enters
when its pages are free; one whose pages come back from the disk runs when they have, and the others
go on meanwhile. When pages run out, the youngest of the lowest priority gives its own back
and is computed again later.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from ponant.engine.cache import PAGE_TOKENS, PageTable, page_key, pages_for
from ponant.engine.lease import Lease
from ponant.engine.page_store import Reading
from ponant.engine.radix import common_pages
from ponant.engine.sequence import Sequence, Work
from ponant.engine.turns import Turns

TOKENS_A_STEP: Final = 512
MOST_RUNNING: Final = 64

_LEAST_CHUNK: Final = 64  # tokens of a prompt, where several share a step
_MOST_PROMPTS: Final = 4  # worked on at once, where they fill more than a step
_MOST_LOOKED_AT: Final = 32  # of those who wait, for one that may enter
_WORTH_WAITING: Final = 4  # pages that another sequence is about to compute
_OUTPUT_COST: Final = 2  # of a drawn token in a prompt's tokens, as in arXiv 2401.00588


Propose = Callable[[Sequence, int], tuple[int, ...]]
"""Drafts for a decoding sequence, at most so many; may be none."""


class Scheduler:
    """Keeps what waits and what runs.

    Args:
        table: the pages that sequences need.
        tokens_a_step: most tokens in one step.
        most_running: most sequences at once.
    """

    def __init__(
        self,
        table: PageTable,
        tokens_a_step: int = TOKENS_A_STEP,
        most_running: int = MOST_RUNNING,
    ) -> None:
        self._table = table
        self._tokens_a_step = tokens_a_step
        self._most_running = most_running
        self._queues: dict[tuple[int, str], deque[Sequence]] = {}  # by priority and owner
        self._running: dict[Sequence, None] = {}
        self._reading: dict[Sequence, Reading] = {}  # those whose pages come from the store
        self._leaving: list[tuple[Lease, Reading]] = []  # by those who did not wait for them
        self._turns = Turns()
        self._numbers = itertools.count(1)

    @property
    def idle(self) -> bool:
        return not (self._queues or self._running or self.reading)

    @property
    def reading(self) -> bool:
        """Whether pages are on their way from the store, which a plan may have to wait for."""
        return bool(self._reading or self._leaving)

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence; all its tokens must fit into the table's pages."""
        sequence.arrival = next(self._numbers)
        if sequence.reuse:
            sequence.key = page_key(sequence.tokens, 0, len(sequence.tokens) // PAGE_TOKENS)
        self._turns.enter(sequence.owner)
        self._queue(sequence).append(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Forget a sequence and give its pages back."""
        if sequence in self._running:
            del self._running[sequence]
            self._table.close(sequence.lease)
        elif sequence in self._reading:
            self._leave(sequence)
        elif sequence in self._queues.get((sequence.priority, sequence.owner), ()):
            self._unqueue(sequence)
        else:
            return
        self._turns.leave(sequence.owner)

    def plan(self, propose: Propose | None = None) -> list[Work]:
        """What to run next; empty when there is nothing to do, or nothing until pages are read.

        Args:
            propose: asked for drafts of the sequences that decode, where the step's budget and
                the pages leave room for some.
        """
        plan: dict[Sequence, Work] = {}
        self._settle()
        self._plan_decoding(plan)
        self._admit(plan)
        self._plan_prompts(plan)
        work = list(plan.values())
        for item in work:
            self._charge(item)
        return work if propose is None else self._with_drafts(work, propose)

    def advance(self, work: Iterable[Work], accepted: Mapping[Sequence, int] | None = None) -> None:
        """Note that work is done: its keys and values are in the cache.

        Called once the accepted drafts stand in the sequences' tokens, and before sequences that
        have ended are removed, so that their pages stay findable.

        Args:
            work: what was run.
            accepted: how many of each sequence's drafts, from the first, were right; 0 where a
                sequence is left out.
        """
        right = accepted or {}
        for item in work:
            sequence = item.sequence
            if sequence not in self._running:
                continue
            sequence.computed = item.start + item.count + right.get(sequence, 0)
            self._table.publish(sequence.lease, sequence.tokens, sequence.computed)

    def save(self, most: int) -> int:
        """Put up to ``most`` pages into the store, where there is one; returns what is left."""
        return self._table.save(most)

    def forget(self, names: Iterable[str]) -> None:
        """Drop the published pages from where these tags begin."""
        for reading in self._reading.values():
            reading.stop()  # it may hold some of them already
        self._table.forget(names)

    def finish(self) -> None:
        """Close the store; nothing is planned any more."""
        self._table.finish()

    def _plan_decoding(self, plan: dict[Sequence, Work]) -> None:
        left = self._tokens_a_step
        for sequence in sorted(self._running, key=_by_age):
            if not left or not sequence.decoding or sequence not in self._running:
                continue
            start = sequence.computed
            count = min(len(sequence.tokens) - start, left)
            if self._make_room(sequence, start + count, plan):
                plan[sequence] = Work(sequence, start, count)
                left -= count

    def _plan_prompts(self, plan: dict[Sequence, Work]) -> None:
        """Plan chunks of the prompts that run.

        Of several, each but the last gets half of what is left: so a short prompt does not wait
        until a long one before it is done.
        """
        prompts = sorted((it for it in self._running if it not in plan), key=self._by_turn)
        left = self._left(plan)
        counts: dict[Sequence, int] = {}
        for place, sequence in enumerate(prompts, 1):
            share = left if place == len(prompts) else max(_LEAST_CHUNK, left // 2)
            counts[sequence] = min(sequence.pending, share, left)
            left -= counts[sequence]
        for sequence, first in counts.items():
            count = min(sequence.pending, first + left)
            left -= count - first
            is_ready = count and sequence in self._running
            if is_ready and self._make_room(sequence, sequence.computed + count, plan):
                plan[sequence] = Work(sequence, sequence.computed, count)

    def _left(self, plan: Mapping[Sequence, Work]) -> int:
        """What is left of the step's budget."""
        return self._tokens_a_step - sum(item.count for item in plan.values())

    def _charge(self, item: Work) -> None:
        """Count tokens for their owner; those computed again for want of pages are free."""
        sequence, end = item.sequence, item.start + item.count
        fresh = end - max(item.start, sequence.charged)
        if fresh <= 0:
            return
        output = min(max(end - sequence.prompt_length, 0), fresh)
        self._turns.charge(sequence.owner, fresh + output * (_OUTPUT_COST - 1))
        sequence.charged = end

    def _with_drafts(self, work: list[Work], propose: Propose) -> list[Work]:
        """The work with drafts behind it, as far as the budget and free pages go."""
        left = self._tokens_a_step - sum(item.count for item in work)
        for place, item in enumerate(work):
            most = left // (len(work) - place)
            if most < 1 or self._table.available <= len(self._running):
                continue
            if item.completes and item.sequence.decoding:
                work[place] = self._drafted(item, most, propose)
                left -= len(work[place].drafts)
        return work

    def _drafted(self, item: Work, most: int, propose: Propose) -> Work:
        drafts = propose(item.sequence, most)[:most]
        length = len(item.sequence.tokens) + len(drafts)
        if drafts and self._table.extend(item.sequence.lease, length):
            return replace(item, drafts=drafts)
        return item

    def _admit(self, plan: dict[Sequence, Work]) -> None:
        """Let sequences in as long as there is work for them in this step, and pages."""
        while (left := self._left(plan)) > 0:
            first = itertools.islice(self._waiting(), _MOST_LOOKED_AT)
            sequence = next(filter(self._may_enter, first), None)
            if sequence is None or not self._is_wanted(sequence, left):
                return
            if not self._enter(sequence, plan):
                return

    def _waiting(self) -> Iterator[Sequence]:
        """Those who wait, by priority, turn and arrival."""
        heads = sorted((queue[0] for queue in self._queues.values()), key=self._by_turn)
        for head in heads:
            yield from self._queue(head)

    def _may_enter(self, sequence: Sequence) -> bool:
        """Whether no other is about to compute what this one begins with."""
        usable = (len(sequence.tokens) - 1) // PAGE_TOKENS
        for other in itertools.chain(self._running, self._reading):
            done = other.computed // PAGE_TOKENS
            if (
                other.computed < other.prompt_length
                and other.scope == sequence.scope
                and other.priority >= sequence.priority
                and min(common_pages(other.key, sequence.key), usable) - done >= _WORTH_WAITING
            ):
                return False
        return True

    def _is_wanted(self, sequence: Sequence, left: int) -> bool:
        """Whether the prompts that go before this one leave some of the step to it."""
        place = self._by_turn(sequence)
        before = [
            it.pending for it in self._running if not it.decoding and self._by_turn(it) <= place
        ]
        return len(before) < _MOST_PROMPTS or sum(before) < left

    def _enter(self, sequence: Sequence, plan: dict[Sequence, Work]) -> bool:
        """Let a sequence in, in the place of ones of a lower priority if need be."""
        while not self._fit_in(sequence):
            lower = [it for it in self._running if it.priority < sequence.priority]
            held = sum(len(it.lease.pages) for it in lower)
            needed = pages_for(len(sequence.tokens)) + self._admitted - len(lower)
            if not lower or held + self._table.available < needed:
                return False
            self._preempt(max(lower, key=_by_age), plan)
        self._unqueue(sequence)
        reading = self._table.restore(sequence.lease)
        if reading is None:
            self._run(sequence)
        else:
            self._reading[sequence] = reading
        return True

    def _run(self, sequence: Sequence) -> None:
        self._running[sequence] = None
        sequence.computed = sequence.lease.cached_tokens
        if sequence.cached_tokens is None:
            sequence.cached_tokens = sequence.computed

    def _settle(self) -> None:
        """Go on with those whose pages were read, and give back what others did not wait for."""
        for sequence in [it for it, reading in self._reading.items() if reading.done]:
            reading = self._reading.pop(sequence)
            self._table.restored(sequence.lease, sequence.tokens, reading)
            self._run(sequence)
        leaving, self._leaving = self._leaving, []
        for lease, reading in leaving:
            if reading.done:
                self._table.close(lease)
            else:
                self._leaving.append((lease, reading))

    def _leave(self, sequence: Sequence) -> None:
        """Give a sequence's pages back as soon as nothing is written to them any more."""
        reading = self._reading.pop(sequence)
        reading.stop()
        self._leaving.append((sequence.lease, reading))
        sequence.lease = Lease()
        self._settle()

    @property
    def _admitted(self) -> int:
        return len(self._running) + len(self._reading)

    def _fit_in(self, sequence: Sequence) -> bool:
        """Find the sequence's pages, but for one that each admitted sequence may need next."""
        if self._admitted >= self._most_running:
            return False
        lease = self._table.open(
            sequence.scope, sequence.tokens, reuse=sequence.reuse, tags=sequence.tags
        )
        missing = pages_for(len(sequence.tokens)) - len(lease.pages)
        fits = missing + self._admitted <= self._table.available
        if not fits or not self._table.extend(lease, len(sequence.tokens)):
            self._table.close(lease)
            return False
        sequence.lease = lease
        return True

    def _make_room(self, sequence: Sequence, length: int, plan: dict[Sequence, Work]) -> bool:
        """Find pages for ``length`` tokens; False where the sequence itself had to leave."""
        while not self._table.extend(sequence.lease, length):
            victim = max(self._running, key=_by_age)
            self._preempt(victim, plan)
            if victim is sequence:
                return False
        return True

    def _preempt(self, victim: Sequence, plan: dict[Sequence, Work]) -> None:
        plan.pop(victim, None)
        del self._running[victim]
        self._table.close(victim.lease)
        victim.computed = 0
        self._queue(victim).appendleft(victim)

    def _queue(self, sequence: Sequence) -> deque[Sequence]:
        return self._queues.setdefault((sequence.priority, sequence.owner), deque())

    def _unqueue(self, sequence: Sequence) -> None:
        queue = self._queue(sequence)
        queue.remove(sequence)
        if not queue:
            del self._queues[sequence.priority, sequence.owner]

    def _by_turn(self, sequence: Sequence) -> tuple[int, float, int]:
        return -sequence.priority, self._turns.served(sequence.owner), sequence.arrival


def _by_age(sequence: Sequence) -> tuple[int, int]:
    """Higher priorities before lower ones, older before younger."""
    return -sequence.priority, sequence.arrival
