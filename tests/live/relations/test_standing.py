"""Standing queries and windows follow the rows."""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from ponant.live.relations.port import Changed, Window
from tests.live.relations.conftest import SCOPE, Opening
from tests.patience import PATIENCE

_START = datetime(2026, 3, 1, tzinfo=UTC)


def test_the_number_of_a_change_is_never_given_again(opening: Opening) -> None:
    """Who has seen everything up to a number would else miss what comes under it later."""

    async def check() -> None:
        seen = 0
        for turn in range(3):
            async with opening() as relations:
                await relations.put_rows(SCOPE, "t", ["id"], [{"id": 3 * turn}], [])
                await relations.put_query(SCOPE, f"count{turn}", "SELECT count(*) n FROM t")
                for more in (1, 2):
                    await relations.put_rows(SCOPE, "t", ["id"], [{"id": 3 * turn + more}], [])
                    (change,) = await relations.changes(SCOPE, after=seen, wait=PATIENCE)
                    assert change.seq > seen
                    seen = change.seq
                await relations.remove_query(SCOPE, f"count{turn}")
                assert await relations.changes(SCOPE) == []

    asyncio.run(check())


def test_a_change_is_told_as_rows_added_removed_and_changed(opening: Opening) -> None:
    async def check() -> None:
        told: list[Changed] = []
        async with opening() as relations:
            relations.on_change(told.append)
            people = [{"id": 1, "team": "red"}, {"id": 2, "team": "blue"}, {"id": 3, "team": "red"}]
            await relations.put_rows(SCOPE, "people", ["id"], people, [])
            sizes = "SELECT team, count(*) n FROM people GROUP BY 1"
            await relations.put_view(SCOPE, "sizes", sizes)
            await relations.put_query(SCOPE, "teams", "SELECT * FROM sizes ORDER BY team", ["team"])
            assert await relations.result(SCOPE, "teams") == [
                {"team": "blue", "n": 1},
                {"team": "red", "n": 2},
            ]
            await relations.put_rows(SCOPE, "people", ["id"], [{"id": 2, "team": "green"}], [[3]])
            (change,) = await relations.changes(SCOPE, wait=PATIENCE)
            assert change.added == ({"team": "green", "n": 1},)
            assert change.removed == ({"team": "blue", "n": 1},)
            assert change.changed == (({"team": "red", "n": 2}, {"team": "red", "n": 1}),)
            assert told == [change]
            await relations.put_rows(SCOPE, "other", ["id"], [{"id": 1}], [])
            await relations.put_rows(SCOPE, "people", ["id"], [{"id": 1, "team": "red"}], [])
            assert await relations.changes(SCOPE, after=change.seq, wait=0.3) == []

    asyncio.run(check())


def test_what_a_crash_kept_from_a_query_reaches_it_at_the_next_start(opening: Opening) -> None:
    async def check() -> None:
        async with opening() as relations:
            await relations.put_rows(SCOPE, "t", ["id"], [{"id": 1}], [])
            await relations.put_query(SCOPE, "count", "SELECT count(*) n FROM t")
            # It ends right after the row is stored, whether or not the query was asked again.
            await relations.put_rows(SCOPE, "t", ["id"], [{"id": 2}], [])
        async with opening() as relations:
            (change,) = await relations.changes(SCOPE, wait=PATIENCE)
            assert (change.removed, change.added) == (({"n": 1},), ({"n": 2},))
            assert await relations.result(SCOPE, "count") == [{"n": 2}]

    asyncio.run(check())


def test_late_rows_correct_a_window_within_the_bound_and_are_counted_past_it(
    opening: Opening,
) -> None:
    """Every window equals a recount of the rows that came before it closed."""

    async def check() -> None:
        chance = random.Random(11)
        ten = timedelta(seconds=10)
        expected: Counter[datetime] = Counter()
        late, newest = 0, datetime.min.replace(tzinfo=UTC)
        async with opening() as relations:
            await relations.put_rows(SCOPE, "clicks", ["id"], [{"id": -1, "moment": None}], [])
            await relations.put_window(
                SCOPE,
                Window(
                    name="per_10s",
                    table="clicks",
                    time="moment",
                    every=10,
                    lateness=20,
                    columns={"clicks": "count(*)", "total": "sum(id)"},
                ),
            )
            number = 0
            for step in range(30):
                rows: list[dict[str, Any]] = []
                for _ in range(20):
                    delay = chance.choice([0, 0, 5, 15, 25, 60])
                    moment = _START + timedelta(seconds=step * 5 + chance.random() * 5 - delay)
                    start = _START + (moment - _START) // ten * ten
                    rows.append({"id": number, "moment": moment})
                    number += 1
                    if start + timedelta(seconds=30) <= newest:
                        late += 1
                    else:
                        expected[start] += 1
                await relations.put_rows(SCOPE, "clicks", ["id"], rows, [])
                newest = max(newest, *(row["moment"] for row in rows))
            found = await relations.query(
                SCOPE, "SELECT window_start, clicks FROM per_10s", limit=500
            )
            assert dict(found.rows) == dict(expected)
            table = await relations.describe(SCOPE, "clicks")
            assert table.late == late > 0
            (total,) = (await relations.query(SCOPE, "SELECT count(*) FROM clicks")).rows[0]
            assert total == sum(expected.values()) + late + 1

    asyncio.run(check())


def test_an_edited_or_deleted_row_corrects_its_open_window(opening: Opening) -> None:
    async def check() -> None:
        async with opening() as relations:
            rows = [{"id": n, "moment": _START + timedelta(seconds=n), "v": 1} for n in range(20)]
            await relations.put_rows(SCOPE, "t", ["id"], rows, [])
            window = Window(
                name="w", table="t", time="moment", every=10, lateness=60, columns={"n": "sum(v)"}
            )
            await relations.put_window(SCOPE, window)
            moved = {"id": 0, "moment": _START + timedelta(seconds=12), "v": 5}
            await relations.put_rows(SCOPE, "t", ["id"], [moved], [[1]])
            found = await relations.query(SCOPE, "SELECT n FROM w ORDER BY window_start")
            assert found.rows == [[8], [15]]

    asyncio.run(check())
