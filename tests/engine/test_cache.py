"""The page table: what is shared, what never is, and what goes first when space runs out."""

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from ponant.engine.cache import PAGE_TOKENS, PageTable
from ponant.engine.lease import Lease
from tests.engine.page_audit import audit

BLOCK = st.sampled_from([[1] * PAGE_TOKENS, [2] * PAGE_TOKENS, [3] * 5])
TOKENS = st.lists(BLOCK, min_size=1, max_size=6).map(lambda blocks: [*chain(*blocks)])
ACTION = st.one_of(
    st.tuples(st.just("open"), st.sampled_from(["a", "b"]), TOKENS),
    st.tuples(st.just("publish"), st.integers(0, 9), st.integers(0, 99)),
    st.tuples(st.just("close"), st.integers(0, 9), st.none()),
)
TAGS = [(0, "head"), (PAGE_TOKENS, "second"), (2 * PAGE_TOKENS + 3, "third")]
TAGGED = st.one_of(
    ACTION,
    st.tuples(st.just("forget"), st.sampled_from(["head", "second", "third"]), st.none()),
)


def published(table: PageTable, scope: str, tokens: list[int]) -> Lease:
    """A lease whose tokens are all computed and published."""
    lease = table.open(scope, tokens)
    assert table.extend(lease, len(tokens))
    table.publish(lease, tokens, len(tokens))
    return lease


def cached(table: PageTable, scope: str, tokens: list[int], **options: str) -> int:
    """How many tokens a sequence would find."""
    lease = table.open(scope, tokens, **options)
    table.close(lease)
    return lease.cached_tokens


@given(st.lists(ACTION, max_size=60))
def test_every_page_is_in_one_place(actions: list[tuple]) -> None:
    table = PageTable(12)
    alive: list[tuple[Lease, list[int]]] = []
    for action, first, second in actions:
        match action:
            case "open":
                lease = table.open(first, second)
                if table.extend(lease, len(second)):
                    alive.append((lease, second))
                else:
                    table.close(lease)
            case "publish" if first < len(alive):
                lease, tokens = alive[first]
                table.publish(lease, tokens, min(second, len(tokens)))
            case "close" if first < len(alive):
                table.close(alive.pop(first)[0])
        audit(table, [lease for lease, _ in alive])
    for lease, _ in alive:
        table.close(lease)
    assert table.available == 12


def test_scopes_never_share() -> None:
    table = PageTable(12)
    tokens = [5] * (3 * PAGE_TOKENS + 1)
    first = published(table, "mine", tokens)
    theirs = table.open("theirs", tokens)
    assert theirs.cached_tokens == 0
    assert theirs.pages == []
    again = table.open("mine", tokens)
    assert again.cached_tokens == 3 * PAGE_TOKENS
    assert again.pages == first.pages[:3]


def test_scopes_that_publish_the_same_keep_their_own_pages() -> None:
    table = PageTable(12)
    tokens = [5] * (3 * PAGE_TOKENS)
    mine, theirs = published(table, "mine", tokens), published(table, "theirs", tokens)
    assert not set(mine.pages) & set(theirs.pages)


def test_adapters_never_share() -> None:
    table = PageTable(12)
    tokens = [5] * (PAGE_TOKENS + 1)
    published(table, "mine", tokens)
    assert cached(table, "mine", tokens, adapter="one") == 0


def test_a_scope_and_an_adapter_do_not_run_into_each_other() -> None:
    table = PageTable(12)
    tokens = [5] * (PAGE_TOKENS + 1)
    table.close(table.open("bc", tokens, adapter="a"))
    lease = table.open("bc", tokens, adapter="a")
    table.extend(lease, len(tokens))
    table.publish(lease, tokens, len(tokens))
    assert cached(table, "c", tokens, adapter="ab") == 0
    assert cached(table, "bc", tokens, adapter="a") == PAGE_TOKENS


def test_the_last_token_is_always_left_to_compute() -> None:
    table = PageTable(12)
    tokens = [5] * (2 * PAGE_TOKENS)
    published(table, "mine", tokens)
    assert cached(table, "mine", tokens) == PAGE_TOKENS


def test_a_part_of_what_is_published_is_found() -> None:
    table = PageTable(12)
    long = [1] * 2 * PAGE_TOKENS + [2] * 2 * PAGE_TOKENS
    first = published(table, "mine", long)
    other = [1] * 2 * PAGE_TOKENS + [3] * PAGE_TOKENS
    second = published(table, "mine", other)
    assert second.pages[:2] == first.pages[:2]
    audit(table, [first, second])
    third = table.open("mine", long)
    assert third.pages == first.pages[:3]
    audit(table, [first, second, third])


def test_who_computed_the_same_twice_goes_over_to_one_copy() -> None:
    table = PageTable(8)
    tokens = [5] * (3 * PAGE_TOKENS)
    first, second = table.open("mine", tokens), table.open("mine", tokens)
    for lease in (first, second):
        assert table.extend(lease, len(tokens))
    assert table.available == 2
    table.publish(first, tokens, len(tokens))
    table.publish(second, tokens, len(tokens))
    assert second.pages == first.pages
    assert table.available == 5
    audit(table, [first, second])


def test_what_is_held_is_never_taken() -> None:
    table = PageTable(4)
    tokens = [5] * (3 * PAGE_TOKENS)
    lease = published(table, "mine", tokens)
    other = table.open("theirs", [1])
    assert not table.extend(other, 2 * PAGE_TOKENS)
    assert table.extend(other, PAGE_TOKENS)
    assert not set(other.pages) & set(lease.pages)


def test_the_least_recently_used_prefix_goes_first() -> None:
    table = PageTable(4)
    prompts = [[number] * (PAGE_TOKENS + 1) for number in range(3)]
    for prompt in prompts[:2]:
        table.close(published(table, "mine", prompt))
    table.close(table.open("mine", prompts[0]))
    big = table.open("mine", prompts[2])
    assert table.extend(big, 3 * PAGE_TOKENS)
    assert cached(table, "mine", prompts[1]) == 0
    assert cached(table, "mine", prompts[0]) == PAGE_TOKENS


def test_the_end_of_a_prefix_goes_before_its_beginning() -> None:
    table = PageTable(4)
    tokens = [7] * (4 * PAGE_TOKENS)
    table.close(published(table, "mine", tokens))
    assert table.extend(table.open("mine", [1]), PAGE_TOKENS)
    assert cached(table, "mine", [*tokens, 1]) == 3 * PAGE_TOKENS


def test_a_lease_that_does_not_fit_changes_nothing() -> None:
    table = PageTable(2)
    lease = table.open("mine", [1])
    assert table.extend(lease, 2 * PAGE_TOKENS)
    assert not table.extend(lease, 2 * PAGE_TOKENS + 1)
    assert len(lease.pages) == 2


def test_a_scope_without_pages_leaves_nothing_behind() -> None:
    table = PageTable(4)
    for number in range(100):
        table.close(published(table, str(number), [number] * PAGE_TOKENS))
    assert len(table._trees) <= 4


@given(st.lists(TAGGED, max_size=60))
def test_what_was_forgotten_is_never_found(actions: list[tuple]) -> None:
    table = PageTable(12)
    alive: list[tuple[Lease, list[int]]] = []
    limit = 1000  # pages that may be found: forgotten names stay forgotten
    for action, first, second in actions:
        match action:
            case "open":
                lease = table.open(first, second, tags=TAGS)
                assert len(lease.pages) <= limit
                if table.extend(lease, len(second)):
                    alive.append((lease, second))
                else:
                    table.close(lease)
            case "publish" if first < len(alive):
                lease, tokens = alive[first]
                table.publish(lease, tokens, min(second, len(tokens)))
            case "close" if first < len(alive):
                table.close(alive.pop(first)[0])
            case "forget":
                table.forget([first])
                limit = min(limit, next(start for start, name in TAGS if name == first) // 16)
        audit(table, [lease for lease, _ in alive])
    for lease, _ in alive:
        table.close(lease)
    assert table.available == 12


def tagged(table: PageTable, tokens: list[int], tags: list[tuple[int, str]]) -> int:
    """Publish a tagged prompt; how many of its tokens were found."""
    lease = table.open("mine", tokens, tags=tags)
    assert table.extend(lease, len(tokens))
    table.publish(lease, tokens, len(tokens))
    table.close(lease)
    audit(table, [])
    return lease.cached_tokens


def test_what_stands_before_a_forgotten_passage_is_still_found() -> None:
    table = PageTable(12)
    tokens = list(range(5 * PAGE_TOKENS))
    tagged(table, tokens, [(PAGE_TOKENS, "one"), (3 * PAGE_TOKENS + 5, "two")])
    table.forget(["two"])
    assert cached(table, "mine", tokens) == 3 * PAGE_TOKENS
    table.forget(["one"])
    assert cached(table, "mine", tokens) == PAGE_TOKENS
    assert table.available == 12


def test_who_found_pages_tags_them_too() -> None:
    table = PageTable(12)
    tokens = list(range(4 * PAGE_TOKENS))
    tagged(table, tokens, [])
    tagged(table, [*tokens, 7], [(2 * PAGE_TOKENS, "late")])
    table.forget(["late"])
    assert cached(table, "mine", [*tokens, 7]) == 2 * PAGE_TOKENS


def test_a_prompt_that_was_under_way_keeps_to_itself_what_was_forgotten() -> None:
    table = PageTable(12)
    tokens = list(range(4 * PAGE_TOKENS))
    lease = table.open("mine", tokens, tags=[(PAGE_TOKENS, "passage")])
    assert table.extend(lease, len(tokens))
    table.publish(lease, tokens, 2 * PAGE_TOKENS)
    table.forget(["passage"])
    audit(table, [lease])
    table.publish(lease, tokens, len(tokens))
    audit(table, [lease])
    assert cached(table, "mine", tokens) == PAGE_TOKENS
    table.close(lease)
    audit(table, [])
    assert tagged(table, tokens, [(PAGE_TOKENS, "passage")]) == PAGE_TOKENS
    assert cached(table, "mine", tokens) == PAGE_TOKENS


def test_what_is_found_again_and_again_goes_last() -> None:
    table = PageTable(6)
    often, once = [*[1] * 2 * PAGE_TOKENS, 9], [*[2] * 2 * PAGE_TOKENS, 9]
    for _ in range(3):
        tagged(table, often, [])
    tagged(table, once, [])
    tagged(table, [3] * 3 * PAGE_TOKENS, [])
    assert cached(table, "mine", often) == 2 * PAGE_TOKENS
    assert cached(table, "mine", once) < 2 * PAGE_TOKENS
