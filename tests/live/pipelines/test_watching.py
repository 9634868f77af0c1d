"""A pipeline's process is started anew with its file, and again when it dies."""

import asyncio
import os
import random
import signal
from collections import Counter
from functools import partial
from typing import Any

from ponant.kit import PonantError
from ponant.live.pipelines.watching import PipelineProcess, Pipelines, replay
from tests.live.pipelines.conftest import SCOPE, eventually
from tests.processes import children

_PIPELINE = """
    from pathlib import Path
    from ponant import live

    @live.transform
    def shout(document):
        with (Path(__file__).parent / "calls.txt").open("a") as file:
            print(document.key, file=file)
        if "bad" in document.text:
            raise ValueError("it is bad")
        return document.but(text=document.text.upper() + "!")

    live.library("Loud", shout(live.folder("notes")))
"""


def test_an_edit_of_the_file_is_taken_up_and_a_broken_one_is_not(workshop: Any) -> None:
    async def check() -> None:
        async with workshop() as here:
            here.write("notes/a.md", "one")
            here.write("pipeline.py", _PIPELINE)
            said: list[str] = []
            process = PipelineProcess(here.file, here.home, SCOPE, said=said.append)
            running = asyncio.create_task(process.run())
            try:
                await eventually(lambda: here.texts("Loud"), {"a.md": "ONE!"}, 30)
                here.write("pipeline.py", "this is no Python")
                await eventually(lambda: _is_said(said, "old one goes on"), True, 30)
                here.write("notes/b.md", "two")
                await eventually(lambda: here.texts("Loud"), {"a.md": "ONE!", "b.md": "TWO!"})
                here.write("pipeline.py", _PIPELINE.replace('"!"', '"?"'))
                await eventually(lambda: here.texts("Loud"), {"a.md": "ONE?", "b.md": "TWO?"}, 30)
                assert len(here.calls()) == 4
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    asyncio.run(check())


_TWO_TRANSFORMS = """
    from pathlib import Path
    from ponant import live

    @live.transform
    def shout(document):
        with (Path(__file__).parent / "calls.txt").open("a") as file:
            print("shout", document.key, file=file)
        return document.but(text=document.text.upper())

    @live.transform
    def greet(document):
        with (Path(__file__).parent / "calls.txt").open("a") as file:
            print("greet", document.key, file=file)
        return document.but(text="Hello, " + document.text)

    live.library("Greeted", greet(shout(live.folder("notes"))))
"""


def test_an_edit_of_one_transform_calls_no_other_again(workshop: Any) -> None:
    async def check() -> None:
        async with workshop() as here:
            for name in ("a", "b", "c"):
                here.write(f"notes/{name}.md", name)
            here.write("pipeline.py", _TWO_TRANSFORMS)
            process = PipelineProcess(here.file, here.home, SCOPE, said=lambda _: None)
            running = asyncio.create_task(process.run())
            try:
                before = {f"{name}.md": f"Hello, {name.upper()}" for name in "abc"}
                await eventually(lambda: here.texts("Greeted"), before)
                every = Counter(
                    {f"{one} {name}.md": 1 for one in ("shout", "greet") for name in "abc"}
                )
                assert Counter(here.calls()) == every
                here.write("pipeline.py", _TWO_TRANSFORMS.replace("Hello", "Good morning"))
                after = {
                    name: text.replace("Hello", "Good morning") for name, text in before.items()
                }
                await eventually(lambda: here.texts("Greeted"), after)
                greeted = Counter({f"greet {name}.md": 1 for name in "abc"})
                assert Counter(here.calls()) == every + greeted
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    asyncio.run(check())


def test_kills_in_the_middle_lose_and_double_nothing(workshop: Any) -> None:
    """The pipeline and the live process are killed while a folder is brought through."""

    async def check() -> None:
        chance = random.Random(5)
        async with workshop() as here:
            for number in range(120):
                here.write(f"notes/{number:03}.md", "bad" if number == 60 else f"text {number}")
            here.write("pipeline.py", _PIPELINE)
            pipelines = Pipelines([here.file], here.home, SCOPE)
            await pipelines.start()
            try:
                for _ in range(4):
                    enough = min(len(here.calls()) + 10, 119)
                    await eventually(partial(_is_past, here, enough), True, 60)
                    await asyncio.sleep(chance.random() * 0.05)
                    victim = here.live.pid if chance.random() < 0.4 else _pid()
                    if victim is not None:
                        os.kill(victim, signal.SIGKILL)
                expected = {
                    f"{number:03}.md": f"TEXT {number}!" for number in range(120) if number != 60
                }
                await eventually(lambda: _texts(here), expected, 60)
                (now,) = await pipelines.list()
                assert [one.key for one in now.failures] == ["060.md"]
                assert len(here.calls()) < 240  # what was computed before a kill is known
                here.write("notes/060.md", "good")
                await eventually(lambda: _texts(here), expected | {"060.md": "GOOD!"}, 30)
                assert replay(here.home, "pipeline") == 0
            finally:
                await pipelines.close()

    asyncio.run(check())


async def _is_said(said: list[str], words: str) -> bool:
    return any(words in one for one in said)


async def _is_past(here: Any, calls: int) -> bool:
    return len(here.calls()) >= calls


async def _texts(here: Any) -> Any:
    try:
        return await here.texts("Loud")
    except PonantError as e:
        return e.message


def _pid() -> int | None:
    """The process that runs the pipeline."""
    return next((child.pid for child in children("ponant.live.pipelines.process")), None)
