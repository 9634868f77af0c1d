"""SQL from callers reads the workspace's tables and does nothing else."""

import asyncio
from pathlib import Path

import pytest

from ponant.kit.errors import BadRequest
from tests.live.relations.conftest import SCOPE, Opening

_REFUSED = [
    "",
    "SELECT 1; SELECT 2",
    "CREATE TABLE x (a INT)",
    "INSERT INTO t VALUES (2)",
    "DELETE FROM t",
    "UPDATE t SET id = 2",
    "DROP TABLE t",
    "WITH x AS (INSERT INTO t VALUES (2) RETURNING *) SELECT * FROM x",
    "COPY t TO '{file}'",
    "EXPORT DATABASE '{file}'",
    "ATTACH '{file}'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET threads = 8",
    "RESET memory_limit",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "CHECKPOINT",
    "BEGIN",
    "COMMIT",
    "SELECT * FROM read_csv('{file}')",
    "SELECT * FROM read_text('{file}')",
    "SELECT * FROM read_blob('{file}')",
    "SELECT * FROM read_parquet('{file}')",
    "SELECT * FROM read_json('{file}')",
    "SELECT * FROM '{file}'",
    "SELECT * FROM glob('{file}')",
    "SELECT * FROM sniff_csv('{file}')",
    "SELECT * FROM query('DROP TABLE t')",
    "SELECT * FROM enable_logging()",
    "SELECT getenv('HOME')",
    "SELECT repeat('x', 3000000000)",
    "SELECT sum(length(repeat('x', 100000000 + i::INT))) FROM range(2000) r(i)",
    "SELECT list(i) FROM range(1000000000) r(i)",
    "SELECT no_such_column FROM t",
]


def test_nothing_but_reading_tables_is_possible(opening: Opening, tmp_path: Path) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("a,b\n1,2\n")

    async def check() -> None:
        async with opening() as relations:
            await relations.put_rows(SCOPE, "t", ["id"], [{"id": 1}], [])
            for sql in _REFUSED:
                with pytest.raises(BadRequest):
                    await relations.query(SCOPE, sql.replace("{file}", str(file)))
            answer = await relations.query(SCOPE, "SELECT * FROM t")
            assert (answer.rows, answer.version) == ([[1]], 1)

    asyncio.run(check())


def test_a_long_query_is_ended_and_others_go_on(opening: Opening) -> None:
    async def check() -> None:
        async with opening(seconds=4.0) as relations:
            await relations.put_rows(SCOPE, "t", ["id"], [{"id": 1}], [])
            endless = "SELECT count(*) FROM range(10000000000) a, range(1000000) b"
            slow = asyncio.create_task(relations.query(SCOPE, endless))
            answer = await relations.query(SCOPE, "SELECT id FROM t")
            assert answer.rows == [[1]]
            assert not slow.done()
            with pytest.raises(BadRequest, match=r"longer than 4 seconds"):
                await slow

    asyncio.run(check())


def test_rows_and_bytes_of_an_answer_have_limits(opening: Opening) -> None:
    async def check() -> None:
        async with opening() as relations:
            answer = await relations.query(SCOPE, "SELECT * FROM range(50)", limit=20)
            assert (len(answer.rows), answer.truncated) == (20, True)
            wide = "SELECT repeat('x', 1000000) FROM range(100)"
            answer = await relations.query(SCOPE, wide, limit=100)
            assert (len(answer.rows), answer.truncated) == (16, True)
            with pytest.raises(BadRequest):
                await relations.query(SCOPE, "SELECT 1", limit=10_001)

    asyncio.run(check())


def test_parameters_are_values_and_never_sql(opening: Opening) -> None:
    async def check() -> None:
        async with opening() as relations:
            await relations.put_rows(SCOPE, "t", ["id"], [{"id": "a"}, {"id": "b"}], [])
            by_place = await relations.query(SCOPE, "SELECT id FROM t WHERE id = ?", ["b"])
            assert by_place.rows == [["b"]]
            named = {"wanted": "' OR true --"}
            by_name = await relations.query(SCOPE, "SELECT id FROM t WHERE id = $wanted", named)
            assert by_name.rows == []

    asyncio.run(check())
