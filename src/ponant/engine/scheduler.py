"""Decides which sequence gets how many tokens in the next step.

Continuous batching with one budget of tokens a step: sequences that decode get their token first,
what is left goes to prompts in the order of arrival, cut into chunks (Sarathi-Serve, arXiv
2403.02310). A sequence enters when its pages are free. When pages run out, the youngest gives its
own back and is computed again later.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from ponant.engine.cache import Lease, PageTable

TOKENS_A_STEP: Final = 512
MOST_RUNNING: Final = 64


@dataclass(eq=False, slots=True)
class Sequence:
    """One request's tokens on their way through the model.

    Attributes:
        id: the request's.
        scope: whose cached pages may be used.
        tokens: prompt and output so far.
        reuse: whether cached pages may stand in for computing.
        computed: tokens whose keys and values are in the cache.
        cached_tokens: tokens found in the cache when the sequence was first admitted.
        owner: whose turn it is when this sequence runs; opaque.
        priority: higher goes first.
        prompt_length: how many of the first tokens were given.
    """

    id: str
    scope: str
    tokens: list[int]
    reuse: bool = True
    computed: int = 0
    cached_tokens: int | None = None
    lease: Lease = field(default_factory=Lease)
    owner: str = ""
    priority: int = 0
    prompt_length: int = field(init=False)

    def __post_init__(self) -> None:
        self.prompt_length = len(self.tokens)

    @property
    def pending(self) -> int:
        return len(self.tokens) - self.computed

    @property
    def decoding(self) -> bool:
        """Whether the prompt is done and only the newest tokens are still to compute."""
        return self.computed >= self.prompt_length and len(self.tokens) > self.prompt_length


@dataclass(frozen=True, slots=True)
class Work:
    """Tokens ``start`` to ``start + count`` of a sequence, to run in one step.

    Attributes:
        drafts: guesses at what follows the sequence's last token; their rows come after it.
    """

    sequence: Sequence
    start: int
    count: int
    drafts: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of the step that this takes."""
        return self.count + len(self.drafts)

    @property
    def completes(self) -> bool:
        """Whether the step reaches the last token, so that the next one can be drawn."""
        return self.start + self.count == len(self.sequence.tokens)


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
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []

    @property
    def idle(self) -> bool:
        return not self._waiting and not self._running

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence; all its tokens must fit into the table's pages."""
        self._waiting.append(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Forget a sequence and give its pages back."""
        if sequence in self._running:
            self._running.remove(sequence)
            self._table.close(sequence.lease)
        elif sequence in self._waiting:
            self._waiting.remove(sequence)

    def plan(self, propose: Propose | None = None) -> list[Work]:
        """What to run next; empty when there is nothing to do.

        Args:
            propose: asked for drafts of the sequences that decode, where the step's budget and
                the pages leave room for some.
        """
        budget = self._tokens_a_step
        plan: dict[Sequence, Work] = {}
        for sequence in self._by_urgency():
            count = min(sequence.pending, budget)
            if not count or sequence not in self._running:  # a preemption may have taken it out
                continue
            for victim in self._make_room(sequence, sequence.computed + count):
                undone = plan.pop(victim, None)
                budget += undone.count if undone else 0
            if sequence in self._running:
                plan[sequence] = Work(sequence, sequence.computed, count)
                budget -= count
        plan |= self._admit(budget)
        work = list(plan.values())
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
        for item in work:
            sequence = item.sequence
            if sequence not in self._running:
                continue
            sequence.computed = item.start + item.count + (accepted or {}).get(sequence, 0)
            self._table.publish(sequence.lease, sequence.tokens, sequence.computed)

    def _with_drafts(self, work: list[Work], propose: Propose) -> list[Work]:
        """The work with drafts behind it, as far as the budget and free pages go."""
        left = self._tokens_a_step - sum(item.count for item in work)
        return [self._drafted(item, left // len(work), propose) for item in work]

    def _drafted(self, item: Work, most: int, propose: Propose) -> Work:
        sequence = item.sequence
        if most < 1 or not item.completes or not sequence.decoding:
            return item
        drafts = propose(sequence, most)[:most]
        length = len(sequence.tokens) + len(drafts)
        if not drafts or not self._table.extend(sequence.lease, length):
            return item
        return replace(item, drafts=drafts)

    def _by_urgency(self) -> list[Sequence]:
        """Running sequences, decoding before prefill, older before younger."""
        return sorted(self._running, key=lambda sequence: sequence.pending > 1)

    def _make_room(self, sequence: Sequence, length: int) -> list[Sequence]:
        """Find pages for ``length`` tokens; returns who had to give theirs back."""
        victims: list[Sequence] = []
        while not self._table.extend(sequence.lease, length):
            victim = self._running.pop()
            self._table.close(victim.lease)
            victim.computed = 0
            self._waiting.appendleft(victim)
            victims.append(victim)
            if victim is sequence:
                break
        return victims

    def _admit(self, budget: int) -> dict[Sequence, Work]:
        plan: dict[Sequence, Work] = {}
        while budget and self._waiting and len(self._running) < self._most_running:
            sequence = self._waiting[0]
            lease = self._table.open(sequence.scope, sequence.tokens, reuse=sequence.reuse)
            if not self._table.extend(lease, len(sequence.tokens)):
                self._table.close(lease)
                break
            self._waiting.popleft()
            self._running.append(sequence)
            sequence.lease = lease
            sequence.computed = lease.cached_tokens
            if sequence.cached_tokens is None:
                sequence.cached_tokens = lease.cached_tokens
            count = min(sequence.pending, budget)
            plan[sequence] = Work(sequence, sequence.computed, count)
            budget -= count
        return plan
