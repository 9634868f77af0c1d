"""Guesses what comes next from what stands there already: prompt lookup, and when it pays.

An answer that quotes its prompt repeats runs of tokens. Where the last few tokens stood before,
what followed them is guessed and verified in one step (speculative decoding, arXiv 2211.17192,
with prompt lookup for a draft model). Each guessed token is drawn exactly as it would be without a
guess, and counts where it is the one that was guessed: for a draft that is certain of its one
token this is rejection sampling, so answers keep their distribution, and their very tokens.

A guess costs a row of the step. How much is measured, as is how often guesses hold; they are made
only as far as they are expected to bring more tokens a second than the step has without them.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

LONGEST: Final = 16
"""Most tokens guessed at once."""

_SHORTEST_MATCH: Final = 2
_LONGEST_MATCH: Final = 4
_FACTOR: Final = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: spreads a token over the hash
_WORD: Final = (1 << 64) - 1

_FORGET: Final = 0.85  # weight of older guesses, at each new one
_FIRST_PROBE: Final = 8  # tokens without a guess, once guesses no longer pay
_LAST_PROBE: Final = 256

_FORGET_STEP: Final = 0.98
_ASSUMED_SHARE: Final = 0.1  # of a step's time, for a row, until it is measured
_ASSUMED_WEIGHT: Final = 2.0


class PromptLookup:
    """Finds where a sequence's last tokens stood before; a token more costs the same anywhere.

    Args:
        tokens: the sequence so far.
    """

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = list(tokens)
        self._ends = [
            _index(self._tokens, size) for size in range(_SHORTEST_MATCH, _LONGEST_MATCH + 1)
        ]
        self._source = 0  # what followed the place that the last tokens were found at; 0: none
        self.matched = 0
        """Tokens at the sequence's end that stand before the place that was found."""
        self._find()

    def append(self, token: int) -> None:
        """The sequence's next token."""
        follows = self._source and self._tokens[self._source] == token
        self._tokens.append(token)
        if follows:
            self._source += 1
            self.matched += 1
            self._note()
        else:
            self._find()

    def guess(self, most: int) -> tuple[int, ...]:
        """What followed the last tokens before, at most so many tokens."""
        if not self._source:
            return ()
        found = self._tokens[self._source : self._source + most]
        period = len(self._tokens) - self._source
        return tuple(found[place % period] for place in range(most))

    def _find(self) -> None:
        """Look for the longest run, and in its latest place."""
        self._source = self.matched = 0
        for size, place in self._note():
            if self._tokens[place - size : place] == self._tokens[-size:]:
                self._source, self.matched = place, size

    def _note(self) -> list[tuple[int, int]]:
        """Enter the runs that end here; says where those of each size ended before, if they did."""
        found = []
        for size, ends in enumerate(self._ends, _SHORTEST_MATCH):
            if len(self._tokens) < size:
                break
            key = _hash(self._tokens[-size:])
            place = ends.get(key)
            if place is not None and place != len(self._tokens):
                found.append((size, place))
            ends[key] = len(self._tokens)
        return found


class Speculator:
    """One sequence's guesses: how many tokens, and whether at all.

    Args:
        tokens: the sequence so far.
        costs: what rows cost the engine.
    """

    def __init__(self, tokens: Sequence[int], costs: "StepCosts") -> None:
        self._lookup = PromptLookup(tokens)
        self._costs = costs
        self._short, self._long = _Rate(), _Rate()
        self._wait = 0  # tokens until the next probe
        self._pause = _FIRST_PROBE

    def append(self, token: int) -> None:
        """The sequence's next token."""
        self._lookup.append(token)
        self._wait -= 1

    def guess(self, most: int) -> tuple[int, ...]:
        """Tokens worth verifying in the coming step."""
        if not self._lookup.matched:
            return ()
        rate = self._rate.value
        worth = self._costs.worth(rate, min(most, LONGEST))
        if worth:
            self._pause = _FIRST_PROBE
        elif self._wait <= 0 and most:
            worth, self._wait = 1, self._pause
            self._pause = min(2 * self._pause, _LAST_PROBE)
        return self._lookup.guess(worth)

    def learn(self, guessed: int, accepted: int) -> None:
        """Take note of how a guess fared; called before the tokens are appended."""
        self._rate.learn(guessed, accepted)

    @property
    def _rate(self) -> "_Rate":
        return self._long if self._lookup.matched >= _LONGEST_MATCH else self._short


class _Rate:
    """How often a guessed token holds, given that those before it did."""

    def __init__(self) -> None:
        self._held, self._tried = 1.4, 2.0

    @property
    def value(self) -> float:
        return self._held / self._tried

    def learn(self, guessed: int, accepted: int) -> None:
        self._held = self._held * _FORGET + accepted
        self._tried = self._tried * _FORGET + min(guessed, accepted + 1)


class StepCosts:
    """What a step takes, as a line over its rows: fitted to the steps that only decode."""

    def __init__(self) -> None:
        self._sums = np.zeros(5)  # of weights, rows, seconds, rows squared, rows times seconds
        self._sequences = 1

    def observe(self, sequences: int, rows: int, seconds: float) -> None:
        """Take note of a step that only decoded; as many sequences are expected in the next."""
        self._sequences = sequences
        fresh = np.array([1, rows, seconds, rows * rows, rows * seconds])
        self._sums = self._sums * _FORGET_STEP + fresh

    def worth(self, rate: float, most: int) -> int:
        """How many tokens to guess where each holds at a rate, once those before it held.

        The last of ``k`` tokens brings ``rate ** k`` tokens; the rows of a step without guesses
        bring one each. It is worth its row while it brings more for its time than the step does.
        """
        needed = self._row_share * self._sequences
        if rate <= needed or most < 1:
            return 0
        if rate >= 1:
            return most
        return min(most, int(math.log(max(needed, 1e-9)) / math.log(rate)))

    @property
    def _row_share(self) -> float:
        """A row's time as a share of a step's with one row a sequence."""
        weight, all_rows, all_seconds, squares, products = self._sums.tolist()
        if not weight:
            return _ASSUMED_SHARE
        rows, seconds = all_rows / weight, all_seconds / weight
        assumed = _ASSUMED_SHARE * seconds / (1 + _ASSUMED_SHARE * (rows - 1))
        spread, together = squares - all_rows * rows, products - all_rows * seconds
        # A few steps of the same size tell nothing about a row more: the assumption fills in.
        row = (together + _ASSUMED_WEIGHT * assumed) / (spread + _ASSUMED_WEIGHT)
        row = max(row, 0.01 * seconds / rows)
        step = max(seconds + row * (self._sequences - rows), row * self._sequences)
        return row / step


def _hash(tokens: Sequence[int]) -> int:
    value = 0
    for token in tokens:
        value = ((value + token + 1) * _FACTOR) & _WORD
    return value


def _index(tokens: Sequence[int], size: int) -> dict[int, int]:
    """Where each run of a size ended last, by its hash; the sequence's own end is left out."""
    array = np.array(tokens, np.uint64)
    count = len(array) - size
    if count < 1:
        return {}
    value = np.zeros(count, np.uint64)
    for place in range(size):
        value = (value + array[place : place + count] + np.uint64(1)) * np.uint64(_FACTOR)
    return dict(zip(value.tolist(), range(size, size + count), strict=True))
