"""A pipeline of a test's own over a live process's inside."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from ponant.kit import Settings
from ponant.kit.errors import NotFound
from ponant.live import LiveClient
from ponant.live.pipelines.memory import Memory, SourceNow
from ponant.live.pipelines.process import RunSpec, memory_file, run
from ponant.store import Scope
from tests.patience import PATIENCE

SCOPE = Scope(organisation_id="org_1", workspace_id="wsp_1", person_id="per_1")


@dataclass
class Workshop:
    """A home, a live process over it, and a folder with a pipeline."""

    folder: Path
    home: Path
    live: LiveClient
    states: list[SourceNow] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "pipeline.py"

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return path

    async def once(self) -> SourceNow:
        """Run the pipeline until each source was seen; the last state that was told."""
        self.states.clear()
        spec = RunSpec(file=str(self.file), home=str(self.home), scope=SCOPE, once=True)
        await run(spec, self.states.append)
        return self.states[-1]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the sources while the block runs."""
        spec = RunSpec(file=str(self.file), home=str(self.home), scope=SCOPE)
        task = asyncio.create_task(run(spec, self.states.append))
        try:
            yield
        finally:
            if task.done():  # then it failed, and what the block waited for could not come
                task.result()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def memory(self) -> Memory:
        return Memory(memory_file(self.home, "pipeline"))

    async def texts(self, library: str, scope: Scope = SCOPE) -> dict[str, str]:
        """The texts of a library's documents by path."""
        found = [one for one in await self.live.list_libraries(scope) if one.name == library]
        if not found:
            return {}
        texts: dict[str, str] = {}
        for one in await self.live.list_documents(scope, found[0].id):
            with contextlib.suppress(NotFound):  # it went between the two questions
                texts[one.path] = await self.live.document_text(scope, found[0].id, one.id)
        return texts

    async def rows(self, sql: str) -> list[list[Any]]:
        return (await self.live.relations.query(SCOPE, sql)).rows

    def calls(self) -> list[str]:
        """What transforms wrote down of their calls."""
        path = self.folder / "calls.txt"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def workshop(tmp_path: Path) -> Any:
    """Opens a workshop over a running live process."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Workshop]:
        home, folder = tmp_path / "home", tmp_path / "work"
        home.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
        live = LiveClient(Settings(home=home))
        await live.start()
        try:
            yield Workshop(folder, home, live)
        finally:
            await live.close()

    return opening


def lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(one) + "\n" for one in records)


async def eventually(ask: Any, expected: Any, seconds: float = PATIENCE) -> None:
    """Wait until ``ask`` answers what is expected.

    Raises:
        AssertionError: it did not in time.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    while (found := await ask()) != expected:
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0.05)
