"""Rows are kept by key, with their types, and outlive the process."""

import asyncio
import contextlib
import os
import random
import signal
import tempfile
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.kit.errors import BadRequest, Conflict, NotFound, Unavailable
from ponant.live.relations.service import Relations
from ponant.live.relations.shaping import shape, shape_keys
from ponant.live.relations.store import Tables
from tests.live.relations.conftest import SCOPE, STRANGER, Opening

_NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


async def _rows(relations: Relations, sql: str) -> list[list[Any]]:
    return (await relations.query(SCOPE, sql)).rows


def test_rows_are_replaced_and_removed_by_key(opening: Opening) -> None:
    async def check() -> None:
        async with opening() as relations:
            first = [{"id": 1, "city": "Brest"}, {"id": 2, "city": "Toulon"}]
            one = await relations.put_rows(SCOPE, "cities", ["id"], first, [], {"at": 1})
            two = await relations.put_rows(
                SCOPE, "cities", ["id"], [{"id": 2, "city": "Nice", "coast": True}], [[1], [9]]
            )
            assert two.version == one.version + 1
            answer = await relations.query(SCOPE, "SELECT * FROM cities ORDER BY id")
            assert answer.rows == [[2, "Nice", True]]
            assert answer.version == two.version
            assert await relations.cursor(SCOPE, "cities") == {"at": 1}
        async with opening() as relations:
            assert await _rows(relations, "SELECT city FROM cities") == [["Nice"]]
            assert await relations.cursor(SCOPE, "cities") == {"at": 1}
            assert await relations.cursor(SCOPE, "cities", "another") is None

    asyncio.run(check())


def test_a_complete_batch_is_all_there_is(opening: Opening) -> None:
    async def check() -> None:
        async with opening() as relations:
            await relations.put_rows(SCOPE, "t", ["id"], [{"id": n} for n in range(5)], [])
            rows, none = shape([{"id": 3}], ["id"]), shape_keys([], ["id"])
            await relations.put(SCOPE, "t", ["id"], rows, none, complete=True)
            assert await _rows(relations, "SELECT id FROM t") == [[3]]

    asyncio.run(check())


def test_values_keep_their_types_and_columns_widen_without_loss(opening: Opening) -> None:
    values = {
        "flag": True,
        "whole": 2**62,
        "huge": 2**100,
        "real": 0.1,
        "text": "naïve\x00 日本",
        "raw": b"\x00\xff",
        "money": Decimal("12345678901234567890.0123456789"),
        "day": date(2026, 3, 1),
        "moment": _NOON,
        "clock": time(10, 30, 15, 500),
        "list": [1, {"a": None}],
        "nothing": None,
    }

    async def check() -> None:
        async with opening() as relations:
            rows, none = shape([{"id": 1, **values}], ["id"]), shape_keys([], ["id"])
            await relations.put(SCOPE, "t", ["id"], rows, none)
            answer = await relations.query(SCOPE, "SELECT * EXCLUDE (id) FROM t")
            stored = dict(zip([one.name for one in answer.columns], answer.rows[0], strict=True))
            turned = {"huge": str(2**100), "money": str(values["money"])}
            turned |= {"day": "2026-03-01", "clock": "10:30:15.000500"}
            assert stored == values | turned
            wider = [{"id": 2, "whole": "many", "real": 3, "nothing": 7, "day": _NOON}]
            wider += [{"id": 3, "whole": 2.5, "flag": "perhaps", "list": "plain", "new": 1}]
            rows = shape(wider, ["id"])
            await relations.put(SCOPE, "t", ["id"], rows, none)
            kept = await _rows(relations, "SELECT whole, flag, list, day::DATE FROM t ORDER BY id")
            assert kept[0] == [str(2**62), "true", [1, {"a": None}], "2026-03-01"]
            assert kept[1][0] == "many"
            assert kept[2][:3] == ["2.5", "perhaps", "plain"]

    asyncio.run(check())


def test_a_view_outlives_the_widening_of_its_table(opening: Opening) -> None:
    async def check() -> None:
        async with opening() as relations:
            await relations.put_rows(SCOPE, "t", ["id"], [{"id": 1, "a": 1}], [])
            await relations.put_view(SCOPE, "v", "SELECT a FROM t")
            await relations.put_rows(SCOPE, "t", ["id"], [{"id": 2, "a": "x"}], [])
            assert await _rows(relations, "SELECT a FROM v ORDER BY a") == [["1"], ["x"]]
            with pytest.raises(Conflict):
                await relations.put_rows(SCOPE, "v", ["id"], [{"id": 1}], [])
            with pytest.raises(Conflict):
                await relations.put_rows(SCOPE, "t", ["a"], [{"a": 1}], [])

    asyncio.run(check())


def test_a_row_without_a_key_is_named_and_the_rest_can_go_on() -> None:
    shaped = shape([{"id": 1}, {"name": "no key"}, {"id": [1]}, {"id": 2}], ["id"])
    assert shaped.count == 2
    assert set(shaped.refused) == {1, 2}
    assert "key column id" in shaped.refused[1]


_KEYS = st.integers(0, 5)
_BATCH = st.tuples(
    st.lists(st.tuples(_KEYS, st.one_of(st.none(), st.integers(), st.text(max_size=3)))),
    st.lists(_KEYS),
)


@settings(max_examples=6, deadline=None)
@given(batches=st.lists(_BATCH, max_size=6), seed=st.integers())
def test_any_batches_leave_what_a_dictionary_would(batches: list[Any], seed: int) -> None:
    """Against a plain dictionary; an upsert of a key counts over its delete in the same batch."""
    with tempfile.TemporaryDirectory() as folder:
        tables = Tables(Path(folder) / "t.duckdb", 128 << 20)
        expected: dict[int, Any] = {}
        for upserts, deletes in batches:
            rows = [{"id": key, "value": value} for key, value in upserts]
            for key in deletes:
                expected.pop(key, None)
            expected |= dict(upserts)
            gone = shape_keys([(key,) for key in deletes], ["id"])
            tables.put("t", ["id"], shape(rows, ["id"]), gone, now=_NOON)
        if batches:
            found = tables.connection.execute("SELECT * FROM t").fetchall()
            texts = {row[0]: row[1] if len(row) > 1 else None for row in found}
            assert {key: _text(one) for key, one in texts.items()} == {
                key: _text(one) for key, one in expected.items()
            }
        tables.close()


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def test_workspaces_see_nothing_of_each_other(opening: Opening) -> None:
    async def check() -> None:
        async with opening() as relations:
            await relations.put_rows(SCOPE, "mine", ["id"], [{"id": 1, "secret": "s"}], [])
            assert await relations.tables(STRANGER) == []
            with pytest.raises(BadRequest):
                await relations.query(STRANGER, "SELECT * FROM mine")
            with pytest.raises(BadRequest, match="may not call"):
                await relations.query(STRANGER, "SELECT database_name FROM duckdb_databases()")
            with pytest.raises(NotFound):
                await relations.describe(STRANGER, "mine")

    asyncio.run(check())


def test_killed_at_any_moment_nothing_is_lost_or_doubled(opening: Opening) -> None:
    """Batches follow a log; its cursor is stored with the rows, and tells where to go on."""

    async def check() -> None:
        chance = random.Random(7)
        kills = 0
        async with opening() as relations:
            place = 0
            while place < 240:
                key, rows = ["id"], [{"id": place + n, "n": place + n} for n in range(4)]
                killing = asyncio.create_task(_kill_soon(relations, chance))
                with contextlib.suppress(Unavailable):
                    await relations.put_rows(SCOPE, "log", key, rows, [], {"place": place + 4})
                kills += await killing
                cursor = await _once_back(relations)
                place = cursor["place"] if cursor else 0
                counts = "SELECT count(*), count(DISTINCT id), max(n) FROM log"
                found = await _rows(relations, counts)
                assert found == [[place, place, place - 1]]
        assert kills >= 3

    asyncio.run(check())


async def _once_back(relations: Relations) -> Any:
    """The stored cursor; a kill may hit the first question."""
    with contextlib.suppress(Unavailable):
        return await relations.cursor(SCOPE, "log")
    return await relations.cursor(SCOPE, "log")


async def _kill_soon(relations: Relations, chance: random.Random) -> bool:
    if chance.random() > 0.08:
        return False
    await asyncio.sleep(chance.random() * 0.012)
    if relations.pid is None:
        return False
    os.kill(relations.pid, signal.SIGKILL)
    return True
