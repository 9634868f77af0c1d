"""Guesses: where they are looked up, when they are made, and when they stop."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponant.engine.speculate import LONGEST, PromptLookup, Speculator, StepCosts


def plainly(tokens: list[int], most: int) -> tuple[int, ...]:
    """The guess of a search through everything: longest run of 4 to 2, in its latest place."""
    for size in (4, 3, 2):
        for place in range(len(tokens) - 1, size - 1, -1):
            if tokens[place - size : place] == tokens[-size:]:
                period = len(tokens) - place
                return tuple(tokens[place + at % period] for at in range(most))
    return ()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60))
def test_a_fresh_lookup_finds_the_latest_place_of_the_longest_run(tokens: list[int]) -> None:
    assert PromptLookup(tokens).guess(5) == plainly(tokens, 5)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.lists(st.integers(0, 5)))
def test_a_guess_follows_what_stands_at_the_end(start: list[int], more: list[int]) -> None:
    """However tokens came: what is guessed followed, somewhere before, the run that ends here."""
    lookup, tokens = PromptLookup(start), list(start)
    for token in more:
        lookup.append(token)
        tokens.append(token)
    guess = lookup.guess(1)
    assert bool(guess) == bool(plainly(tokens, 1))
    if guess:
        run = [*tokens[-2:], *guess]
        assert any(tokens[at : at + 3] == run for at in range(len(tokens) - 2))


def test_a_quote_is_followed_to_its_end_and_beyond() -> None:
    lookup = PromptLookup([1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2])
    assert lookup.matched == 2
    assert lookup.guess(4) == (3, 4, 5, 6)
    for token in (3, 4, 5):
        lookup.append(token)
    assert lookup.matched == 5
    assert lookup.guess(12)[:4] == (6, 7, 8, 9)
    lookup.append(0)
    assert lookup.guess(4) == ()


def test_what_repeats_is_guessed_to_repeat() -> None:
    assert PromptLookup([7, 8, 7, 8, 7, 8]).guess(5) == (7, 8, 7, 8, 7)


def costs(sequences: int, row_share: float) -> StepCosts:
    """Costs learnt from steps of different sizes, where a row takes a share of a step for one."""
    made = StepCosts()
    for step in range(60):
        rows = sequences + step % 5
        made.observe(sequences, rows, 1 + row_share * (rows - 1))
    return made


def test_long_guesses_are_made_where_rows_are_cheap() -> None:
    assert costs(1, 0.02).worth(0.9, LONGEST) == LONGEST
    assert costs(1, 0.1).worth(0.8, LONGEST) > costs(1, 0.3).worth(0.8, LONGEST) > 0
    assert costs(1, 0.1).worth(0.8, 3) == 3


def test_none_are_made_where_rows_are_dear_or_the_batch_is_full() -> None:
    assert costs(1, 0.5).worth(0.4, LONGEST) == 0
    assert costs(16, 0.3).worth(0.7, LONGEST) == 0
    assert costs(16, 0.001).worth(0.7, LONGEST) > 0


@pytest.mark.parametrize("row_share", [0.05, 0.2])
def test_what_is_measured_is_what_a_row_takes(row_share: float) -> None:
    assert costs(1, row_share)._row_share == pytest.approx(row_share, rel=0.15)


def run(holds: float, tokens: int) -> tuple[float, int]:
    """Time and steps of a sequence whose guesses hold at a rate; a step takes 1, a row 0.1."""
    chance = random.Random(3)
    charged = costs(1, 0.1)
    speculator = Speculator([1, 2, 3] * 30, charged)
    time, steps, done = 0.0, 0, 0
    while done < tokens:
        guess = speculator.guess(16)
        accepted = 0
        while accepted < len(guess) and chance.random() < holds:
            accepted += 1
        if guess:
            speculator.learn(len(guess), accepted)
        seconds = 1 + 0.1 * len(guess)
        charged.observe(1, 1 + len(guess), seconds)
        for _ in range(accepted + 1):
            speculator.append([1, 2, 3][done % 3])
            done += 1
        time += seconds
        steps += 1
    return time, steps


def test_guesses_that_hold_are_worth_their_rows() -> None:
    time, steps = run(holds=0.9, tokens=1000)
    assert time < 1000 / 2
    assert steps < 1000 / 3


def test_guesses_that_never_hold_cost_next_to_nothing() -> None:
    time, _ = run(holds=0.0, tokens=1000)
    assert time < 1000 / 0.985
