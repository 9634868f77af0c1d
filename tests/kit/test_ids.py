"""Ids sort by the time they were made, and no two are the same."""

import re

import pytest

from ponant.kit import ids, new_id


def test_ids_have_their_prefix_and_26_digits() -> None:
    made = [new_id("use") for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(re.fullmatch(r"use_[0-7][0-9a-hjkmnp-tv-z]{25}", one) for one in made)


def test_ids_hold_the_time_and_then_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    # The example of the ULID specification, whose first ten digits are the time.
    monkeypatch.setattr(ids.time, "time_ns", lambda: 1_469_918_176_385_000_000)
    monkeypatch.setattr(ids.secrets, "randbits", lambda bits: (1 << bits) - 1)
    assert new_id("x") == "x_01aryz6s41zzzzzzzzzzzzzzzz"


def test_later_ids_sort_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(1, 2_000_000_000_000, 100_000_000_000))
    monkeypatch.setattr(ids.time, "time_ns", lambda: next(moments))
    made = [new_id("use") for _ in range(10)]
    assert made == sorted(made)
