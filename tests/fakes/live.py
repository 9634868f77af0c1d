"""Live knowledge in the test's own process, behind what a `LiveClient` offers to watches."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ponant.kit import SystemClock
from ponant.live.knowledge import Knowledge
from ponant.live.port import Embedder, Notice
from ponant.store import Database, Scope
from tests.fakes.embedder import FakeEmbedder
from tests.patience import PATIENCE


class LocalLive:
    """The methods of `Knowledge`, its parts by name, and its notices."""

    def __init__(self) -> None:
        self.knowledge: Knowledge | None = None
        self._listeners: dict[str, set[Callable[[Notice], None]]] = {}

    def __getattr__(self, name: str) -> Any:
        if self.knowledge is None:
            raise AttributeError(name)
        parts = self.knowledge.parts
        return parts[name] if name in parts else getattr(self.knowledge, name)

    def notices(self, part: str, listener: Callable[[Notice], None]) -> None:
        self._listeners.setdefault(part, set()).add(listener)

    def tell(self, notice: Notice) -> None:
        for listener in self._listeners.get(notice.part, ()):
            listener(notice)

    async def write(self, scope: Scope, library_id: str, name: str, text: str) -> None:
        """Add or replace a document, and wait until it is found and was matched."""
        before = await self._version(scope, library_id, name)
        await self.add_document(scope, library_id, name, text.encode())
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while await self._version(scope, library_id, name) == before:
            assert asyncio.get_running_loop().time() < deadline, f"{name} was not read"
            await asyncio.sleep(0.005)
        await self.settled(scope, library_id)

    async def erase(self, scope: Scope, library_id: str, name: str) -> None:
        """Delete a document, and wait until that was matched."""
        for document in await self.list_documents(scope, library_id):
            if document.name == name:
                await self.delete_document(scope, library_id, document.id)
        await self.settled(scope, library_id)

    async def settled(self, scope: Scope, library_id: str) -> None:
        """Wait until everything is embedded and standing queries are matched."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while (await self.get_library(scope, library_id)).freshness.state != "in_step":
            assert asyncio.get_running_loop().time() < deadline, "the library is not in step"
            await asyncio.sleep(0.005)
        await self.standing.match()

    async def _version(self, scope: Scope, library_id: str, name: str) -> int | None:
        for document in await self.list_documents(scope, library_id):
            if document.name == name and document.state == "indexed":
                return int(document.version)
        return None


@asynccontextmanager
async def local_live(home: Path, embedder: Embedder | None = None) -> AsyncIterator[LocalLive]:
    """Live knowledge over ``home``, while the block runs."""
    live = LocalLive()
    database = Database.at(home / "live.db")
    database.migrate("live")
    knowledge = Knowledge(home, [], database, SystemClock(), lambda _: None, live.tell)
    await knowledge.start()
    try:
        await knowledge.connect(embedder or FakeEmbedder())
        live.knowledge = knowledge
        yield live
    finally:
        await knowledge.close()
        database.close()
