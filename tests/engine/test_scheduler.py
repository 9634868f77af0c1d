"""The scheduler: who goes when, what a step takes, and that no page is lost on the way."""

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ponant.engine.cache import PAGE_TOKENS, PageTable
from ponant.engine.scheduler import Scheduler
from ponant.engine.sequence import Sequence, Work
from ponant.engine.spill import Spill
from tests.engine.page_audit import audit
from tests.fakes.pages import FakePages, wait_for

REQUESTS = 10_000
PAGES = 48
BUDGET = 96
MOST_ALIVE = 24


@dataclass
class Crowd:
    """Random requests on their way through a scheduler, checked after every step."""

    folder: Path
    random: random.Random
    seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.pages = FakePages(PAGES)
        self.spill = Spill(self.folder, self.pages, 200_000)
        self.table = PageTable(PAGES, store=self.spill)
        self.scheduler = Scheduler(self.table, tokens_a_step=BUDGET, most_running=10)
        self.lengths: dict[Sequence, int] = {}
        self.documents = [
            [self.random.randrange(50) for _ in range(self.random.randrange(16, 200))]
            for _ in range(8)
        ]

    @property
    def held(self) -> list[Sequence]:
        return [sequence for sequence in self.lengths if sequence.lease.node is not None]

    def submit(self) -> None:
        choose = self.random
        document = choose.choice(self.documents)
        own = [choose.randrange(50) for _ in range(choose.randrange(30))]
        prompt = document[: choose.randrange(1, len(document) + 1)] + own
        sequence = Sequence(
            str(self.seen["submitted"]),
            choose.choice("abc"),
            prompt,
            reuse=choose.random() < 0.95,
            owner=choose.choice("wxyz"),
            priority=choose.choice([0, 0, 0, 0, 1, 2]),
        )
        self.lengths[sequence] = len(prompt) + choose.randrange(0, 40)
        self.scheduler.add(sequence)
        self.seen["submitted"] += 1

    def cancel(self) -> None:
        self.end(self.random.choice(list(self.lengths)))
        self.seen["cancelled"] += 1

    def end(self, sequence: Sequence) -> None:
        self.scheduler.remove(sequence)
        assert sequence.lease.node is None
        assert not sequence.lease.pages
        self.pages.forget(sequence)
        del self.lengths[sequence]

    def propose(self, sequence: Sequence, most: int) -> tuple[int, ...]:
        assert sequence.decoding
        assert most > 0
        return tuple(self.random.randrange(50) for _ in range(self.random.randrange(8)))

    def step(self) -> None:
        before = set(self.held)
        work = self.scheduler.plan(self.propose if self.random.random() < 0.7 else None)
        self.seen["preempted"] += len(before - set(self.held))
        if not work and self.scheduler.reading:
            self.wait()
            return
        assert bool(work) == bool(self.lengths)
        assert self.pages.run(work) <= BUDGET
        if self.random.random() < 0.02:  # a step that failed takes its requests with it
            for item in work:
                self.end(item.sequence)
            return
        accepted = {item.sequence: self.draw(item) for item in work}
        self.scheduler.advance(work, accepted)
        for item in work:
            if item.completes or accepted[item.sequence]:
                self.finish(item.sequence)
        self.seen["steps"] += 1

    def wait(self) -> None:
        """Let the pages come that somebody waits for, or waited for."""
        self.seen["waited"] += 1
        for reading in (
            *self.scheduler._reading.values(),
            *(it[1] for it in self.scheduler._leaving),
        ):
            assert wait_for(reading)

    def draw(self, item: Work) -> int:
        """Accept some of the drafts, and draw a token behind them."""
        sequence = item.sequence
        if not item.completes or len(sequence.tokens) >= self.lengths[sequence]:
            return 0
        right = self.random.randrange(len(item.drafts) + 1)
        sequence.tokens += [*item.drafts[:right], self.random.randrange(50)]
        self.seen["accepted"] += right
        return right

    def finish(self, sequence: Sequence) -> None:
        if len(sequence.tokens) >= self.lengths[sequence]:
            self.seen["cached"] += sequence.cached_tokens or 0
            self.end(sequence)

    def check(self) -> None:
        leaving = [lease for lease, _ in self.scheduler._leaving]
        audit(self.table, [*leaving, *(sequence.lease for sequence in self.held)])
        for sequence in self.held:
            assert len(sequence.lease.pages) * PAGE_TOKENS >= sequence.computed
            if sequence not in self.scheduler._reading:
                assert sequence.lease.shared * PAGE_TOKENS <= sequence.computed


def test_ten_thousand_random_requests_lose_no_page(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, random.Random(7))
    while crowd.seen["submitted"] < REQUESTS or crowd.lengths:
        wanted = min(crowd.random.randrange(MOST_ALIVE), REQUESTS - crowd.seen["submitted"])
        for _ in range(max(0, wanted - len(crowd.lengths))):
            crowd.submit()
        if crowd.lengths and crowd.random.random() < 0.05:
            crowd.cancel()
        if crowd.random.random() < 0.1:
            crowd.table.save(4)
        if crowd.random.random() < 0.01:
            crowd.scheduler.forget(["unheard of"])  # stops what is being read
        crowd.step()
        crowd.check()
    crowd.wait()
    assert crowd.scheduler.plan() == []
    assert crowd.scheduler.idle
    assert crowd.table.available == PAGES
    for what in ("cancelled", "preempted", "accepted", "cached"):
        assert crowd.seen[what] > 100, what
    assert crowd.spill.loaded > 100
    crowd.spill.close()


def decode(work: list[Work]) -> None:
    """Draw a token for everyone whose turn it is."""
    for item in work:
        if item.completes:
            item.sequence.tokens.append(1)


def run(scheduler: Scheduler, sequences: list[Sequence], length: int) -> list[str]:
    """Run until every sequence has ``length`` tokens; the order in which they ended."""
    ended: list[str] = []
    while not scheduler.idle:
        work = scheduler.plan()
        scheduler.advance(work)
        decode(work)
        for sequence in sequences:
            if len(sequence.tokens) > length and sequence.id not in ended:
                scheduler.remove(sequence)
                ended.append(sequence.id)
    return ended


def test_the_oldest_finish_when_pages_run_out() -> None:
    table = PageTable(4)
    scheduler = Scheduler(table)
    sequences = [Sequence(name, name, [1] * PAGE_TOKENS) for name in "abc"]
    for sequence in sequences:
        scheduler.add(sequence)
    assert run(scheduler, sequences, 3 * PAGE_TOKENS) == ["a", "b", "c"]
    assert table.available == 4


def test_the_youngest_of_the_lowest_priority_gives_way() -> None:
    table = PageTable(6)
    scheduler = Scheduler(table)
    sequences = [
        Sequence(name, name, [1] * PAGE_TOKENS, priority=priority)
        for name, priority in (("low", 0), ("high", 1), ("lower", 0))
    ]
    for sequence in sequences:
        scheduler.add(sequence)
    assert run(scheduler, sequences, 4 * PAGE_TOKENS) == ["high", "low", "lower"]


def test_a_higher_priority_enters_in_the_place_of_a_lower_one() -> None:
    table = PageTable(8)
    scheduler = Scheduler(table)
    low = Sequence("low", "low", [1] * 7 * PAGE_TOKENS)
    scheduler.add(low)
    scheduler.advance(scheduler.plan())
    high = Sequence("high", "high", [2] * 7 * PAGE_TOKENS, priority=1)
    scheduler.add(high)
    assert [item.sequence for item in scheduler.plan()] == [high]
    assert low.lease.node is None


def test_decoding_goes_before_prompts() -> None:
    scheduler = Scheduler(PageTable(100), tokens_a_step=64)
    first = Sequence("first", "", [1] * 8)
    scheduler.add(first)
    work = scheduler.plan()
    scheduler.advance(work)
    decode(work)
    scheduler.add(Sequence("long", "", [2] * 500))
    assert [(item.sequence.id, item.count) for item in scheduler.plan()] == [
        ("first", 1),
        ("long", 63),
    ]


def test_a_short_prompt_does_not_wait_for_a_long_one() -> None:
    scheduler = Scheduler(PageTable(1000))
    scheduler.add(Sequence("long", "", [1] * 8000))
    scheduler.advance(scheduler.plan())
    scheduler.add(Sequence("short", "", [2] * 100))
    assert {item.sequence.id: item.count for item in scheduler.plan()} == {
        "long": 412,
        "short": 100,
    }


def test_owners_get_equal_shares_whatever_they_ask_for() -> None:
    """One owner brings ten times as many requests; both are served alike while both wait."""
    scheduler = Scheduler(PageTable(400), tokens_a_step=64, most_running=4)
    served: Counter[str] = Counter()
    waiting = Counter(greedy=100, modest=10)
    for owner, count in waiting.items():
        for number in range(count):
            prompt = [number] * 60
            scheduler.add(Sequence(f"{owner} {number}", f"{owner} {number}", prompt, owner=owner))
    while waiting["modest"]:
        work = scheduler.plan()
        scheduler.advance(work)
        decode(work)
        for item in work:
            served[item.sequence.owner] += item.count
            if len(item.sequence.tokens) > 70:
                scheduler.remove(item.sequence)
                waiting[item.sequence.owner] -= 1
    assert served["greedy"] < 1.3 * served["modest"]


def test_who_comes_back_has_saved_up_no_turns() -> None:
    scheduler = Scheduler(PageTable(400), tokens_a_step=64)
    scheduler.add(Sequence("first", "", [1] * 2000, owner="busy"))
    for _ in range(20):
        scheduler.advance(scheduler.plan())
    scheduler.add(Sequence("second", "", [2] * 2000, owner="idle"))
    scheduler.add(Sequence("third", "", [3] * 2000, owner="busy"))
    given: Counter[str] = Counter()
    for _ in range(10):
        work = scheduler.plan()
        scheduler.advance(work)
        given.update({item.sequence.owner: item.count for item in work})
    assert given["busy"] > 200


def test_choices_of_one_prompt_compute_it_once() -> None:
    scheduler = Scheduler(PageTable(400))
    prompt = list(range(1500))
    for number in range(4):
        scheduler.add(Sequence(str(number), "", prompt))
    rows = 0
    for _ in range(6):
        work = scheduler.plan()
        rows += sum(item.rows for item in work)
        scheduler.advance(work)
        decode(work)
    assert rows < 1500 + 4 * (6 + PAGE_TOKENS)


def test_other_scopes_do_not_wait_for_a_prompt_of_the_same_words() -> None:
    scheduler = Scheduler(PageTable(400))
    for scope in "ab":
        scheduler.add(Sequence(scope, scope, list(range(400))))
    assert [item.sequence.id for item in scheduler.plan()] == ["a", "b"]


def test_drafts_are_left_out_where_the_step_is_full() -> None:
    scheduler = Scheduler(PageTable(400), tokens_a_step=16)
    first = Sequence("first", "", [1] * 8)
    scheduler.add(first)
    work = scheduler.plan()
    scheduler.advance(work)
    decode(work)
    asked: list[int] = []

    def propose(sequence: Sequence, most: int) -> tuple[int, ...]:
        asked.append(most)
        return (7,) * 20

    (item,) = scheduler.plan(propose)
    assert asked == [15]
    assert (item.count, item.rows, item.drafts) == (1, 16, (7,) * 15)
    scheduler.add(Sequence("long", "", [2] * 500))
    assert all(not item.drafts for item in scheduler.plan(propose))
    assert asked == [15]


def test_rejected_drafts_are_computed_again() -> None:
    table = PageTable(40)
    scheduler = Scheduler(table)
    sequence = Sequence("one", "", [1] * 8)
    scheduler.add(sequence)
    work = scheduler.plan()
    scheduler.advance(work)
    decode(work)
    work = scheduler.plan(lambda *_: (5, 6, 7))
    sequence.tokens += [5, 9]
    scheduler.advance(work, {sequence: 1})
    assert sequence.computed == 10
    (item,) = scheduler.plan()
    assert (item.start, item.count) == (10, 1)


def test_forgetting_an_unknown_sequence_does_nothing() -> None:
    scheduler = Scheduler(PageTable(4))
    scheduler.remove(Sequence("never added", "", [1]))
    assert scheduler.idle
