"""A pipeline computes what changed and nothing else, and takes back what is no longer made."""

import asyncio
from typing import Any

from ponant.kit import PonantError
from tests.live.pipelines.conftest import SCOPE, eventually
from tests.patience import PATIENCE

_SHOUTING = """
    from pathlib import Path
    from ponant import live

    CALLS = Path(__file__).parent / "calls.txt"
    SIGN = "!"

    @live.transform
    def shout(document):
        with CALLS.open("a") as file:
            print("shout", document.key, file=file)
        if "bad" in document.text:
            raise ValueError("it is bad")
        return document.but(text=document.text.upper() + SIGN)

    notes = live.folder("notes")
    live.library("Notes", notes)
    live.library("Loud notes", shout(notes))
"""


def test_only_what_changed_is_computed_and_deletes_flow_through(workshop: Any) -> None:
    async def check() -> None:
        async with workshop() as here:
            for name in ("a", "b", "c"):
                here.write(f"notes/{name}.md", f"text {name}")
            here.write("pipeline.py", _SHOUTING)
            await here.once()
            loud = {"a.md": "TEXT A!", "b.md": "TEXT B!", "c.md": "TEXT C!"}
            assert await here.texts("Loud notes") == loud
            assert (await here.texts("Notes"))["a.md"] == "text a"
            assert len(here.calls()) == 3
            here.write("notes/b.md", "changed")
            (here.folder / "notes/c.md").unlink()
            await here.once()
            assert await here.texts("Loud notes") == {"a.md": "TEXT A!", "b.md": "CHANGED!"}
            assert here.calls()[3:] == ["shout b.md"]

    asyncio.run(check())


def test_an_edit_of_the_code_recomputes_what_it_concerns(workshop: Any) -> None:
    async def check() -> None:
        async with workshop() as here:
            here.write("notes/a.md", "text")
            here.write("pipeline.py", _SHOUTING)
            await here.once()
            here.write("pipeline.py", _SHOUTING + "\n    # a remark changes nothing\n")
            await here.once()
            assert len(here.calls()) == 1
            here.write("pipeline.py", _SHOUTING.replace('SIGN = "!"', 'SIGN = "?"'))
            await here.once()
            assert await here.texts("Loud notes") == {"a.md": "TEXT?"}
            assert len(here.calls()) == 2
            here.write("pipeline.py", _SHOUTING)
            await here.once()
            assert await here.texts("Loud notes") == {"a.md": "TEXT!"}
            assert len(here.calls()) == 2  # what the code before returned is still known

    asyncio.run(check())


def test_a_transform_that_raises_marks_its_document_and_the_rest_goes_on(workshop: Any) -> None:
    async def check() -> None:
        async with workshop() as here:
            here.write("notes/a.md", "fine")
            here.write("notes/b.md", "fine too")
            here.write("pipeline.py", _SHOUTING)
            await here.once()
            here.write("notes/a.md", "bad")
            here.write("notes/b.md", "better")
            state = await here.once()
            assert await here.texts("Loud notes") == {"a.md": "FINE!", "b.md": "BETTER!"}
            assert state.failed == 1
            memory = here.memory()
            (failure,) = memory.failures()
            assert (failure.key, failure.step) == ("a.md", "shout")
            assert "it is bad" in failure.reason
            await here.once()
            assert len(here.calls()) == 4  # a failure waits, and is not tried at each start
            memory.wish("retry")
            here.write("pipeline.py", _SHOUTING.replace("raise ValueError", "print"))
            await here.once()
            assert (await here.texts("Loud notes"))["a.md"] == "BAD!"
            assert memory.failures() == []
            memory.close()

    asyncio.run(check())


def test_a_running_pipeline_follows_its_sources(workshop: Any) -> None:
    async def check() -> None:
        async with workshop() as here:
            here.write("notes/a.md", "one")
            here.write("pipeline.py", _SHOUTING)
            async with here.running():
                await eventually(lambda: here.texts("Loud notes"), {"a.md": "ONE!"})
                here.write("notes/a.md", "two")
                await eventually(lambda: here.texts("Loud notes"), {"a.md": "TWO!"})
                (here.folder / "notes/a.md").rename(here.folder / "notes/b.md")
                await eventually(lambda: here.texts("Loud notes"), {"b.md": "TWO!"})

    asyncio.run(check())


_ORDERS = """
    from ponant import live

    live.table("orders", live.csv("orders.csv", key="id"))
    live.table("people", live.csv("people.csv", key="id"))
    live.view("spent", '''
        SELECT name, sum(amount) AS total FROM orders JOIN people ON person = people.id GROUP BY 1
    ''')
    live.query("spenders", "SELECT * FROM spent WHERE total > 10 ORDER BY name", key="name")
"""


def test_rows_of_files_are_joined_in_sql_and_a_query_stands(workshop: Any) -> None:
    async def check() -> None:
        async with workshop() as here:
            here.write("orders.csv", "id,person,amount\n1,1,8.5\n2,1,4\n3,2,2\n")
            here.write("people.csv", "id,name\n1,Ada\n2,Grace\n")
            here.write("pipeline.py", _ORDERS)
            async with here.running():
                totals = "SELECT * FROM spent ORDER BY name"
                await eventually(
                    lambda: _quiet(lambda: here.rows(totals)), [["Ada", 12.5], ["Grace", 2.0]]
                )
                relations = here.live.relations
                await eventually(
                    lambda: _quiet(lambda: relations.result(SCOPE, "spenders")),
                    [{"name": "Ada", "total": 12.5}],
                )
                here.write("orders.csv", "id,person,amount\n1,1,8.5\n3,2,20\n")
                (change,) = await relations.changes(SCOPE, wait=PATIENCE)
                assert change.added == ({"name": "Grace", "total": 20.0},)
                assert change.removed == ({"name": "Ada", "total": 12.5},)

    asyncio.run(check())


async def _quiet(ask: Any) -> Any:
    try:
        return await ask()
    except PonantError as e:
        return e.message
