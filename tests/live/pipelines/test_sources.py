"""What a pipeline's own sources bring: generators, files, pushes; and who may read what is made."""

import asyncio
from typing import Any

import duckdb

from ponant.kit import PonantError
from tests.live.pipelines.conftest import SCOPE, eventually
from tests.patience import PATIENCE

_GENERATORS = """
    import asyncio
    import json
    from pathlib import Path
    from ponant import live

    HERE = Path(__file__).parent

    @live.source(key="id", every=0.2)
    def stock():
        for row in json.loads((HERE / "stock.json").read_text()):
            yield row

    @live.source(key="n")
    async def counted(cursor=None):
        start = (cursor or {}).get("next", 0)
        for n in range(start, start + 3):
            yield {"n": n}
            yield live.Checkpoint({"next": n + 1})
        yield live.Deleted(start)

    @live.source
    def papers():
        for path in sorted((HERE / "papers").glob("*")):
            yield live.Document(key=path.name, text=path.read_text())

    live.table("stock", stock)
    live.table("counted", counted)
    live.library("Papers", papers)
"""


def test_generators_are_sources(workshop: Any) -> None:
    async def check() -> None:
        async with workshop() as here:
            here.write("stock.json", '[{"id": 1, "left": 5}, {"id": 2, "left": 0}]')
            here.write("papers/a", "first")
            here.write("papers/b", "second")
            here.write("pipeline.py", _GENERATORS)
            await here.once()
            stock = 'SELECT id, "left" FROM stock ORDER BY id'
            counted = "SELECT n FROM counted ORDER BY n"
            assert await here.rows(stock) == [[1, 5], [2, 0]]
            assert await here.rows(counted) == [[1], [2]]
            assert await here.texts("Papers") == {"a": "first", "b": "second"}
            here.write("stock.json", '[{"id": 2, "left": 9}]')
            (here.folder / "papers/a").unlink()
            await here.once()
            assert await here.rows(stock) == [[2, 9]]  # a snapshot: what it left out is gone
            assert await here.rows(counted) == [[1], [2], [4], [5]]  # a log goes on where it was
            assert await here.texts("Papers") == {"b": "second"}
            here.write("stock.json", "no json")
            state = await asyncio.wait_for(_fault(here), PATIENCE)
            assert "stock raised JSONDecodeError" in state
            assert await here.rows(stock) == [[2, 9]]

    asyncio.run(check())


async def _fault(here: Any) -> str:
    """What a pipeline says of its first source that fails."""
    here.states.clear()
    async with here.running():
        while True:
            for state in here.states:
                if state.state == "error":
                    return state.message
            await asyncio.sleep(0.05)


_RESTRICTED = """
    from ponant import live

    @live.source
    def minutes():
        yield live.Document(key="open", text="open words")
        yield live.Document(key="closed", text="closed words", access=("group:board",))

    @live.transform
    def shorter(document):
        return live.Document(key="short " + document.key, text=document.text[:6])

    @live.transform
    def widened(document):
        yield document.but(key="wide " + document.key, access=live.EVERYBODY)

    @live.transform
    def row(document):
        return {"key": document.key}

    @live.transform(declassify=True)
    def known_row(document):
        return {"key": document.key}

    live.library("Short", shorter(minutes))
    live.library("Wide", widened(minutes))
    live.table("rows", row(minutes), key="key")
    live.table("known_rows", known_row(minutes), key="key")
"""


def test_what_is_made_of_a_restricted_document_stays_restricted(workshop: Any) -> None:
    async def check() -> None:
        async with workshop() as here:
            here.write("pipeline.py", _RESTRICTED)
            await here.once()
            # One failed path keeps the whole document back, as it would be half there.
            assert await here.texts("Short") == {"short open": "open w"}
            assert await here.rows('SELECT "key" FROM rows') == [["open"]]
            memory = here.memory()
            (failure,) = memory.failures()
            assert failure.key == "closed"
            assert "declassify" in failure.reason
            memory.close()
            here.write(
                "pipeline.py",
                _RESTRICTED.replace('live.table("rows", row(minutes), key="key")', ""),
            )
            await here.once()
            # The scope of these tests is in no group: it sees the open ones alone.
            assert await here.texts("Short") == {"short open": "open w"}
            wide = {"wide open": "open words", "wide closed": "closed words"}
            assert await here.texts("Wide") == wide
            assert sorted(await here.rows("SELECT key FROM known_rows")) == [["closed"], ["open"]]

    asyncio.run(check())


def test_parquet_is_followed_and_two_inputs_cannot_make_one_thing(workshop: Any) -> None:
    async def check() -> None:
        async with workshop() as here:
            path = here.folder / "people.parquet"
            people = "SELECT * FROM (VALUES (1, 'Ada'), (2, 'Grace'), (3, 'Ada')) t(id, name)"
            duckdb.sql(people).write_parquet(str(path))
            here.write(
                "pipeline.py",
                """
                from ponant import live

                @live.transform
                def page(person):
                    return live.Document(key=person["name"], text=f"Number {person['id']}")

                people = live.parquet("people.parquet", key="id")
                live.table("people", people)
                live.library("People", page(people))
                """,
            )
            state = await here.once()
            assert await here.rows("SELECT count(*) FROM people") == [[2]]
            assert len(await here.texts("People")) == 2
            assert state.failed == 1
            duckdb.sql("SELECT 2 AS id, 'Grace' AS name").write_parquet(str(path))
            await here.once()
            assert await here.texts("People") == {"Grace": "Number 2"}
            assert await here.rows("SELECT * FROM people") == [[2, "Grace"]]

    asyncio.run(check())


def test_what_is_no_longer_declared_is_taken_back(workshop: Any) -> None:
    async def check() -> None:
        async with workshop() as here:
            here.write("notes/a.md", "one")
            text = """
                from ponant import live

                @live.transform
                def words(document):
                    return {"path": document.key, "words": len(document.text.split())}

                notes = live.folder("notes")
                live.library("Notes", notes)
                live.table("words", words(notes), key="path")
                live.view("many", "SELECT * FROM words WHERE words > 1")
                live.query("paths", "SELECT path FROM words")
            """
            here.write("pipeline.py", text)
            await here.once()
            names = [one.name for one in await here.live.relations.tables(SCOPE)]
            assert names == ["many", "paths", "words"]
            kept = text.replace('live.view("many", "SELECT * FROM words WHERE words > 1")', "")
            kept = kept.replace('live.query("paths", "SELECT path FROM words")', "")
            here.write("pipeline.py", kept.replace('live.library("Notes", notes)', ""))
            await here.once()
            names = [one.name for one in await here.live.relations.tables(SCOPE)]
            assert names == ["words"]
            assert await here.texts("Notes") == {}

    asyncio.run(check())


def test_pushes_wait_while_no_pipeline_runs(workshop: Any) -> None:
    async def check() -> None:
        async with workshop() as here:
            here.write(
                "pipeline.py",
                """
                from ponant import live

                live.table("events", live.push("events", key="id"))
                """,
            )
            async with here.running():
                await eventually(lambda: _pushed(here, [{"id": 1, "n": 1}]), True)
                await eventually(lambda: _rows(here), [[1, 1]])
            await _pushed(here, [{"id": 1, "n": 2}, {"id": 2, "n": 1}])
            await _pushed(here, [{"id": 1, "_deleted": True}, {"n": 5}])
            assert await _rows(here) == [[1, 1]]
            async with here.running():
                await eventually(lambda: _rows(here), [[2, 1]])

    asyncio.run(check())


async def _pushed(here: Any, items: list[dict[str, Any]]) -> bool:
    try:
        await here.live.relations.push(SCOPE, "events", items)
    except PonantError:
        return False
    return True


async def _rows(here: Any) -> Any:
    try:
        return await here.rows("SELECT id, n FROM events ORDER BY id")
    except PonantError as e:
        return e.message
