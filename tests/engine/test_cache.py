"""The page table under random submits and cancels: no leak, and nothing shared across scopes."""

from collections import Counter
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from ponant.engine.cache import PAGE_TOKENS, PageTable
from ponant.engine.scheduler import Scheduler, Sequence

PAGES = 12
BLOCK = st.sampled_from([[1] * PAGE_TOKENS, [2] * PAGE_TOKENS, [3] * 5])
PROMPT = st.lists(BLOCK, min_size=1, max_size=6).map(lambda blocks: [*chain(*blocks)])
ACTION = st.one_of(
    st.tuples(st.just("submit"), st.sampled_from(["a", "b"]), PROMPT),
    st.tuples(st.just("cancel"), st.integers(0, 30), st.none()),
    st.tuples(st.just("step"), st.none(), st.none()),
)


def check(table: PageTable, held: list[Sequence]) -> None:
    """Every page is in exactly one place, and shared only by equal beginnings of one scope."""
    counts = Counter(page for sequence in held for page in sequence.lease.pages)
    assert [counts[page] for page in range(PAGES + 1)] == table._holders
    places = [*table._free, *table._idle, *counts]
    assert sorted(places) == list(range(1, PAGES + 1))
    assert set(table._idle) <= set(table._digests)
    meaning: dict[int, tuple[str, tuple[int, ...]]] = {}
    for sequence in held:
        assert len(set(sequence.lease.pages)) == len(sequence.lease.pages)
        for index, page in enumerate(sequence.lease.pages):
            beginning = tuple(sequence.tokens[: (index + 1) * PAGE_TOKENS])
            if counts[page] > 1:
                assert len(beginning) == (index + 1) * PAGE_TOKENS
                assert meaning.setdefault(page, (sequence.scope, beginning)) == (
                    sequence.scope,
                    beginning,
                )


@given(st.lists(ACTION, max_size=60), st.integers(1, 80), st.integers(1, 4))
def test_random_submits_and_cancels(actions: list[tuple], budget: int, most: int) -> None:
    table = PageTable(PAGES)
    scheduler = Scheduler(table, tokens_a_step=budget, most_running=most)
    alive: list[Sequence] = []
    for number, (action, first, prompt) in enumerate(actions):
        match action:
            case "submit":
                alive.append(Sequence(str(number), first, list(prompt)))
                scheduler.add(alive[-1])
            case "cancel" if first < len(alive):
                scheduler.remove(alive.pop(first))
            case "step":
                step(scheduler, budget, alive)
        check(table, [sequence for sequence in alive if sequence.lease.pages])
    for sequence in alive:
        scheduler.remove(sequence)
    assert scheduler.idle
    assert table.available == PAGES


def step(scheduler: Scheduler, budget: int, alive: list[Sequence]) -> None:
    work = scheduler.plan()
    assert sum(item.count for item in work) <= budget
    assert bool(work) == bool(alive)
    scheduler.advance(work)
    for item in work:
        assert len(item.sequence.lease.pages) * PAGE_TOKENS >= item.start + item.count
        if item.completes and len(item.sequence.tokens) < PAGES * PAGE_TOKENS:
            item.sequence.tokens.append(9)


def test_scopes_never_share() -> None:
    table = PageTable(PAGES)
    tokens = [5] * (3 * PAGE_TOKENS + 1)
    first = table.open("mine", tokens)
    assert table.extend(first, len(tokens))
    table.publish(first, tokens, len(tokens))
    assert table.open("theirs", tokens).cached_tokens == 0
    again = table.open("mine", tokens)
    assert again.cached_tokens == 3 * PAGE_TOKENS
    assert again.pages == first.pages[:3]


def test_the_last_token_is_always_left_to_compute() -> None:
    table = PageTable(PAGES)
    tokens = [5] * (2 * PAGE_TOKENS)
    first = table.open("mine", tokens)
    table.extend(first, len(tokens))
    table.publish(first, tokens, len(tokens))
    assert table.open("mine", tokens).cached_tokens == PAGE_TOKENS


def test_the_least_recently_used_prefix_goes_first() -> None:
    table = PageTable(4)
    prompts = [[number] * (PAGE_TOKENS + 1) for number in range(3)]
    for prompt in prompts[:2]:
        lease = table.open("mine", prompt)
        table.extend(lease, len(prompt))
        table.publish(lease, prompt, len(prompt))
        table.close(lease)
    table.close(table.open("mine", prompts[0]))
    big = table.open("mine", prompts[2])
    assert table.extend(big, 3 * PAGE_TOKENS)
    assert table.open("mine", prompts[1]).cached_tokens == 0
    assert table.open("mine", prompts[0]).cached_tokens == PAGE_TOKENS


def test_a_lease_that_does_not_fit_changes_nothing() -> None:
    table = PageTable(2)
    lease = table.open("mine", [1])
    assert table.extend(lease, 2 * PAGE_TOKENS)
    assert not table.extend(lease, 2 * PAGE_TOKENS + 1)
    assert len(lease.pages) == 2


def test_the_oldest_finish_when_pages_run_out() -> None:
    table = PageTable(4)
    scheduler = Scheduler(table)
    sequences = [Sequence(name, name, [1] * PAGE_TOKENS) for name in "abc"]
    for sequence in sequences:
        scheduler.add(sequence)
    ended: list[str] = []
    while not scheduler.idle:
        work = scheduler.plan()
        scheduler.advance(work)
        for item in work:
            if item.completes:
                item.sequence.tokens.append(1)
            if len(item.sequence.tokens) > 3 * PAGE_TOKENS:
                scheduler.remove(item.sequence)
                ended.append(item.sequence.id)
    assert ended == ["a", "b", "c"]
    assert table.available == 4
