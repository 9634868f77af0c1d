"""Tables are there for those alone who may read them, whatever the SQL says."""

import asyncio
from dataclasses import replace

import duckdb
import pytest

from ponant.kit.errors import BadRequest, NotFound, Unprocessable
from ponant.live.relations.naming import tables_in
from ponant.live.relations.port import Window
from ponant.live.relations.service import Relations
from tests.live.relations.conftest import SCOPE, Opening
from tests.patience import PATIENCE

_ADA = replace(SCOPE, marks=("person:ada", "group:Board"))
_BOB = replace(SCOPE, person_id="per_2", marks=("person:bob",))

_WAYS_IN = [
    "SELECT * FROM pay",
    "FROM pay",
    "TABLE pay",
    'SELECT * FROM "PAY"',
    "SELECT * FROM main.pay",
    "SELECT * FROM wsp_1.main.pay",
    "SELECT (SELECT max(amount) FROM pay)",
    "SELECT * FROM open WHERE id IN (SELECT id FROM pay)",
    "SELECT * FROM open WHERE EXISTS (FROM pay)",
    "SELECT * FROM open JOIN pay USING (id)",
    "SELECT * FROM open, LATERAL (SELECT * FROM pay)",
    "SELECT id FROM open UNION ALL SELECT id FROM pay",
    "WITH x AS (SELECT * FROM pay) SELECT * FROM x",
    "WITH x AS MATERIALIZED (FROM pay) FROM x",
    "WITH pay AS (SELECT * FROM pay) SELECT * FROM pay",
    "WITH RECURSIVE pay AS (SELECT * FROM pay UNION ALL SELECT * FROM pay WHERE false) FROM pay",
    "SELECT * FROM (WITH pay AS (SELECT 1 AS a) FROM pay), pay",
    "WITH pay AS (SELECT 2) FROM pay, (WITH pay AS (FROM pay) FROM pay)",
    "WITH b AS (FROM pay), pay AS (SELECT 1) FROM b",
    "SELECT * FROM paid",
    "SELECT * FROM per_day",
    "DESCRIBE pay",
    "SUMMARIZE pay",
    "SHOW TABLES",
    "SHOW ALL TABLES",
    "SELECT * FROM query('SELECT * FROM pay')",
    "SELECT * FROM query_table('pay')",
    "SELECT * FROM query_table(['pay', 'open'])",
    "SELECT * FROM histogram('pay', amount)",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM pay'))",
    "SELECT json_serialize_plan('SELECT * FROM pay')",
    "SELECT * FROM duckdb_tables()",
    "SELECT * FROM duckdb_columns()",
    "SELECT * FROM duckdb_views",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM pragma_table_info('pay')",
    "SELECT * FROM pragma_storage_info('pay')",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_tables",
    "SELECT * FROM ponant.tables",
    "SELECT * FROM ponant.changes",
    "SELECT * FROM ponant.readers",
    "SELECT pg_get_viewdef(1)",
    "SELECT * FROM duckdb_logs()",
    "SELECT * FROM no_such_table",
]


async def _fill(relations: Relations) -> None:
    rows = [{"id": 1, "amount": 4711, "at": "2026-01-01T00:00:00Z"}]
    await relations.put_rows(SCOPE, "open", ["id"], [{"id": 1}], [])
    await relations.declare_readers(SCOPE, "pay", ["group:Board"])
    await relations.put_rows(SCOPE, "pay", ["id"], rows, [])
    await relations.put_view(SCOPE, "paid", "SELECT id, amount FROM pay")
    await relations.put_view(SCOPE, "twice", "SELECT * FROM paid JOIN open USING (id)")
    window = Window(
        name="per_day",
        table="pay",
        time="at",
        every=86400,
        lateness=0,
        columns={"total": "sum(amount)"},
    )
    await relations.put_window(SCOPE, window)


def test_a_closed_table_is_not_there_by_any_way(opening: Opening) -> None:
    async def check() -> None:
        async with opening() as relations:
            await _fill(relations)
            for sql in _WAYS_IN:
                with pytest.raises(BadRequest) as refused:
                    await relations.query(_BOB, sql)
                assert "4711" not in refused.value.message, sql
                assert "amount" not in refused.value.message.replace(sql, ""), sql
            words = [
                (await _refusal(relations, f"SELECT * FROM {name}")).replace(name, "…")
                for name in ("pay", "paid", "twice", "per_day", "nothing")
            ]
            assert len(set(words)) == 1  # nobody hears which of them are there
            assert [one.name for one in await relations.tables(_BOB)] == ["open"]
            for name in ("pay", "paid", "per_day"):
                with pytest.raises(NotFound):
                    await relations.describe(_BOB, name)

    asyncio.run(check())


async def _refusal(relations: Relations, sql: str) -> str:
    with pytest.raises(BadRequest) as refused:
        await relations.query(_BOB, sql)
    return refused.value.message


def test_those_on_the_list_ask_as_before(opening: Opening) -> None:
    async def check() -> None:
        async with opening() as relations:
            await _fill(relations)
            for sql in (
                "SELECT amount FROM pay",
                "SELECT amount FROM MAIN.Pay",
                "SELECT amount FROM twice",
                "SELECT total FROM per_day",
                "WITH open AS (SELECT 4711 AS a) SELECT a FROM open",
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION FROM n) SELECT 4710 + max(i) FROM n",
                "SELECT unnest([4711])",
                "SELECT sum(i) FROM range(4711, 4712) t(i)",
                "SELECT list_transform([4710], lambda x: x + 1)[1]",
            ):
                answer = await relations.query(_ADA, sql)
                assert [int(row[0]) for row in answer.rows] == [4711], sql
            answer = await relations.query(_ADA, "FROM twice")
            assert answer.tables == ("open", "paid", "pay", "twice")
            by_place = await relations.query(_ADA, "SELECT id FROM pay WHERE id = ?", [1])
            by_name = await relations.query(_ADA, "SELECT id FROM pay WHERE id = $a", {"a": 1})
            assert by_place.rows == by_name.rows == [[1]]

    asyncio.run(check())


def test_a_list_counts_from_the_next_question_on_and_outlives_its_table(opening: Opening) -> None:
    async def check() -> None:
        async with opening() as relations:
            await _fill(relations)
            await relations.set_readers(SCOPE, "pay", ["person:bob"])
            assert (await relations.query(_BOB, "SELECT id FROM twice")).rows == [[1]]
            with pytest.raises(BadRequest, match="no table pay"):
                await relations.query(_ADA, "SELECT id FROM pay")
            await relations.declare_readers(SCOPE, "pay", None)
            with pytest.raises(BadRequest, match="no table pay"):
                await relations.query(_ADA, "SELECT id FROM pay")  # by hand goes first
            (found,) = [one for one in await relations.readers(SCOPE) if one.name == "pay"]
            assert (found.access, found.by_hand) == (("person:bob",), True)
            await relations.release_readers(SCOPE, "pay")
            assert (await relations.query(_ADA, "SELECT id FROM pay")).rows == [[1]]
            await relations.set_readers(SCOPE, "pay", [])
            await relations.drop(SCOPE, "per_day")
            await relations.drop(SCOPE, "pay")
            await relations.put_rows(SCOPE, "PAY", ["id"], [{"id": 2}], [])
            for scope in (_ADA, _BOB, SCOPE):
                with pytest.raises(BadRequest, match="no table pay"):
                    await relations.query(scope, "SELECT id FROM pay")
            with pytest.raises(Unprocessable):
                await relations.set_readers(SCOPE, "PAY", ["everybody"])
            with pytest.raises(NotFound):
                await relations.set_readers(SCOPE, "nothing", None)
        async with opening() as relations:  # on disk
            with pytest.raises(BadRequest, match="no table pay"):
                await relations.query(_ADA, "SELECT id FROM pay")

    asyncio.run(check())


def test_standing_queries_tell_those_alone_who_may_read_what_they_rest_on(opening: Opening) -> None:
    async def check() -> None:
        async with opening() as relations:
            await _fill(relations)
            await relations.put_query(SCOPE, "sums", "SELECT sum(amount) AS s FROM twice")
            await relations.put_query(SCOPE, "ids", "SELECT id FROM open", ["id"])
            await relations.put_rows(SCOPE, "pay", ["id"], [{"id": 1, "amount": 4712}], [])
            (change,) = await relations.changes(_ADA, wait=PATIENCE)
            assert change.query == "sums"
            assert await relations.changes(_BOB) == []
            assert [one.query for one in await relations.all_changes(SCOPE, 0, 10)] == ["sums"]
            assert (await relations.result(_ADA, "sums"))[0]["s"] == 4712
            with pytest.raises(NotFound):
                await relations.result(_BOB, "sums")
            assert [one.name for one in await relations.tables(_BOB)] == ["ids", "open"]
            # A query that says something else now still has the changes of before.
            await relations.put_query(SCOPE, "sums", "SELECT 1 AS s")
            assert await relations.changes(_BOB) == []
            assert await relations.closed(_BOB, ["pay", "twice", "open"]) == ["pay", "twice"]

    asyncio.run(check())


def test_every_macro_that_looks_into_the_catalogue_is_refused() -> None:
    connection = duckdb.connect()
    found = connection.execute(
        "SELECT DISTINCT function_name, function_type FROM duckdb_functions() WHERE "
        "function_type IN ('macro', 'table_macro') AND regexp_matches(macro_definition, "
        "'duckdb_|pragma_|query_table|histogram_values', 'i')"
    ).fetchall()
    assert len(found) >= 5
    for name, kind in found:
        call = f"SELECT * FROM {name}(1)" if kind == "table_macro" else f"SELECT {name}(1)"
        with pytest.raises(BadRequest, match="may not call"):
            tables_in(connection, call)
