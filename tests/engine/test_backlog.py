"""The queue's bounds, and whether the time that it tells is true."""

import pytest

from ponant.engine.backlog import Backlog
from ponant.engine.cache import PageTable
from ponant.engine.port import QueueFull, Request
from ponant.engine.scheduler import Scheduler
from ponant.engine.sequence import Sequence


def request(name: str, prompt: int = 10, owner: str = "", max_tokens: int = 50) -> Request:
    return Request(id=name, prompt=[1] * prompt, max_tokens=max_tokens, owner=owner)


def test_a_full_queue_refuses_and_a_place_is_free_again() -> None:
    backlog = Backlog(most_requests=2)
    backlog.enter(request("a"))
    backlog.enter(request("b"))
    with pytest.raises(QueueFull, match="2 requests wait"):
        backlog.enter(request("c"))
    backlog.begin("a")
    backlog.enter(request("c"))
    with pytest.raises(QueueFull):
        backlog.enter(request("d"))
    backlog.end("b")
    backlog.enter(request("d"))


def test_tokens_are_bounded_but_one_long_prompt_always_enters() -> None:
    backlog = Backlog(most_tokens=100)
    backlog.enter(request("long", 500))
    with pytest.raises(QueueFull, match="500 tokens"):
        backlog.enter(request("short", 1))
    backlog.begin("long")
    backlog.enter(request("short", 60))
    backlog.enter(request("other", 40))
    with pytest.raises(QueueFull):
        backlog.enter(request("more", 1))


def test_one_owner_does_not_fill_the_queue_for_others() -> None:
    backlog = Backlog(most_requests=4)
    backlog.enter(request("a", owner="greedy"))
    backlog.enter(request("b", owner="greedy"))
    with pytest.raises(QueueFull, match="this workspace"):
        backlog.enter(request("c", owner="greedy"))
    backlog.enter(request("d", owner="other"))


def test_without_bounds_nothing_is_refused() -> None:
    backlog = Backlog()
    for number in range(1000):
        backlog.enter(request(str(number), 1000))


@pytest.mark.parametrize(("fixed", "each"), [(0.015, 0.0005), (0.001, 0.003), (0.1, 0.0)])
def test_the_wait_it_tells_is_true(fixed: float, each: float) -> None:
    """In a simulated engine, told at any moment: the time until all that was there is done."""
    backlog = Backlog(most_requests=60)
    scheduler = Scheduler(PageTable(4000), most_running=16)
    alive: dict[str, Sequence] = {}
    now, number, told, ended = 0.0, 0, [], []
    while len(ended) < 300:
        while number < 300:
            try:
                backlog.enter(request(str(number), 200 + number, max_tokens=1000))
            except QueueFull as e:
                told.append((now, e.retry_after, set(alive)))
                break
            alive[str(number)] = Sequence(str(number), str(number), [number] * (200 + number))
            scheduler.add(alive[str(number)])
            number += 1
        work = scheduler.plan()
        rows = sum(item.rows for item in work)
        now += fixed + each * rows
        backlog.measure(rows, fixed + each * rows)
        scheduler.advance(work)
        for item in work:
            backlog.begin(item.sequence.id)
            if item.completes:
                item.sequence.tokens.append(1)
            if len(item.sequence.tokens) - item.sequence.prompt_length > 80:
                scheduler.remove(item.sequence)
                backlog.end(item.sequence.id, 80)
                del alive[item.sequence.id]
                ended.append((now, item.sequence.id))
    at = {name: when for when, name in ended}
    ratios = [
        (max(at[name] for name in there) - when) / wait
        for when, wait, there in told[len(told) // 4 : -1]
    ]
    assert len(ratios) > 20
    assert min(ratios) > 0.5
    assert max(ratios) < 2
