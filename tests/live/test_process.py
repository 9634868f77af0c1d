"""The live process: asked over its socket, killed at any moment, alone in its home."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import zmq.asyncio
from numpy.typing import NDArray
from structlog.testing import capture_logs

from ponant.kit import Settings
from ponant.kit.errors import Forbidden, NotFound, StorageFull, Unavailable
from ponant.kit.lock import exclusive
from ponant.live import LiveClient, conversation, storage, wire
from ponant.live.address import endpoint, is_running, lock_file
from ponant.live.indexing.embedding import EmbedderSource
from ponant.live.port import Change, Embedder
from ponant.live.process import Server
from tests.fakes.embedder import FakeEmbedder
from tests.live.conftest import SCOPE, STRANGER, Installation, eventually, found_by_meaning, in_step
from tests.live.crash.agreement import disagreements
from tests.patience import PATIENCE, tries


@asynccontextmanager
async def _client(
    installation: Installation, embedder: FakeEmbedder | None = None
) -> AsyncIterator[LiveClient]:
    client = LiveClient(installation.settings, _source(embedder or FakeEmbedder()))
    await client.start()
    try:
        yield client
    finally:
        await client.close()


def _source(embedder: Embedder) -> EmbedderSource:
    async def find() -> Embedder:
        return embedder

    return find


def test_the_process_starts_without_what_it_may_not_need() -> None:
    heavy = ["alembic", "duckdb", "httpx", "pydantic", "usearch", "watchfiles"]
    heavy.append("sqlalchemy.dialects.postgresql")
    code = (
        f"import sys, ponant.live.process;print([name for name in {heavy} if name in sys.modules])"
    )
    started = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert started.stdout.strip() == "[]"


def test_who_only_asks_starts_without_the_database() -> None:
    code = "import sys, ponant.live.client; print('sqlalchemy' in sys.modules)"
    started = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert started.stdout.strip() == "False"


def test_a_library_from_its_making_to_its_end(installation: Installation) -> None:
    async def run() -> None:
        installation.write("a.md", "# Desk\n\nThe desk opens at 08:30.")
        async with _client(installation) as client:
            library = await client.create_library(SCOPE, "Handbook", owner_id="per_1")
            changes: list[Change] = []
            listening = asyncio.create_task(_listen(client, changes.append))
            source = await client.add_source(
                SCOPE, library.id, "folder", {"path": str(installation.folder)}
            )
            await in_step(client, library.id, 1)
            found = await client.search(SCOPE, [library.id], "when does the desk open")
            (hit,) = found.hits
            assert hit.vector_rank == 1
            assert found.version == 1
            view = await client.get_passage(SCOPE, hit.passage_id)
            assert view.text[hit.start : hit.end] == hit.text
            with pytest.raises(NotFound):
                await client.remove_source(STRANGER, library.id, source.id)
            installation.write("a.md", "# Desk\n\nThe desk opens at 09:15.")
            await eventually(
                lambda: client.document_text(SCOPE, library.id, hit.document_id),
                lambda text: "09:15" in text,
            )
            for _ in tries():
                if "updated" in _kinds(changes):  # told soon after it is stored
                    break
                await asyncio.sleep(0.02)
            await client.delete_library(SCOPE, library.id)
            with pytest.raises(NotFound):
                await client.get_library(SCOPE, library.id)
            assert _kinds(changes) == ["added", "updated", "deleted"]
            assert [c.version for c in changes] == sorted(c.version for c in changes)
            listening.cancel()

    asyncio.run(run())


def _kinds(changes: Sequence[Change]) -> list[str]:
    return [what for change in changes for _, _, what in change.documents]


async def _listen(client: LiveClient, note: Callable[[Change], None]) -> None:
    async for change in client.changes(SCOPE):
        note(change)


def test_a_killed_process_comes_back_with_everything(installation: Installation) -> None:
    async def run() -> None:
        async with _client(installation) as client:
            library = await client.create_library(SCOPE, "Handbook")
            os.kill(client.pid, signal.SIGKILL)
            found = await eventually(
                lambda: _or_none(client.list_libraries(SCOPE)), lambda libraries: libraries
            )
            assert [one.id for one in found] == [library.id]

    asyncio.run(run())


async def _or_none(call):
    try:
        return await call
    except Unavailable:
        return None


def test_a_request_waits_for_a_process_that_starts_slowly(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "_SLOW_SECONDS", 0.0)

    async def run() -> None:
        with capture_logs() as logs, ExitStack() as held:
            assert held.enter_context(exclusive(lock_file(installation.home)))
            async with _client(installation) as client:
                asked = asyncio.create_task(client.list_libraries(SCOPE))
                for _ in tries():
                    if any("still starting" in line["event"] for line in logs):
                        break
                    await asyncio.sleep(0.02)
                assert not asked.done()
                held.close()
                assert await asked == []

    asyncio.run(run())


def test_a_process_that_cannot_start_is_told_until_one_does(installation: Installation) -> None:
    async def run() -> None:
        in_the_way = installation.home / "live.db"
        in_the_way.mkdir()
        async with _client(installation) as client:
            with pytest.raises(Unavailable, match="cannot start"):
                await client.list_libraries(SCOPE)
            in_the_way.rmdir()
            await eventually(
                lambda: _or_none(client.list_libraries(SCOPE)), lambda found: found is not None
            )

    asyncio.run(run())


def test_a_process_that_nobody_runs_is_not_waited_for(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "_SLOW_SECONDS", 0.0)

    async def run() -> None:
        client = LiveClient(installation.settings)
        await client.connect()
        try:
            with pytest.raises(Unavailable, match="not running"):
                await client.list_libraries(SCOPE)
        finally:
            await client.close()

    asyncio.run(run())


def test_kills_in_the_middle_of_ingestion_lose_nothing(installation: Installation) -> None:
    """At any moment: what was acknowledged is there, and index, keywords and vectors agree."""

    async def run() -> None:
        rng = random.Random(7)
        embedder = FakeEmbedder(delay=0.001)
        async with _client(installation, embedder) as client:
            library = await client.create_library(SCOPE, "Handbook")
            await client.add_source(SCOPE, library.id, "folder", {"path": str(installation.folder)})
            uploads = []
            for life in range(4):
                for number in range(15):
                    rooms = (f"## {n}\n\nRoom {life}-{number}-{n}." for n in range(5))
                    installation.write(f"{life}-{number}.md", "\n\n".join(rooms))
                if life:
                    (installation.folder / f"{life - 1}-3.md").unlink()
                dropped = await client.add_document(
                    SCOPE, library.id, f"{life}.txt", f"Upload {life}.".encode()
                )
                uploads.append(dropped.id)
                await asyncio.sleep(rng.random() * 0.4)
                os.kill(client.pid, signal.SIGKILL)
                await eventually(
                    lambda: _or_none(client.list_libraries(SCOPE)), lambda libraries: libraries
                )
                assert disagreements(installation.home) == []
            await found_by_meaning(client, library.id, 4 * 15 - 3 + 4)
            names = {d.id: d.name for d in await client.list_documents(SCOPE, library.id)}
            assert [names[one] for one in uploads] == [f"{n}.txt" for n in range(4)]
            assert "1-3.md" not in names.values()
            found = await client.search(SCOPE, [library.id], "Upload 2", 3)
            assert found.hits[0].text == "Upload 2."
        assert disagreements(installation.home, complete=True) == []

    asyncio.run(run())


class _Slow(FakeEmbedder):
    """Embeds each passage only once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let: dict[str, asyncio.Event] = {}

    async def embed(
        self, texts: Sequence[str], kind: Literal["query", "passage"]
    ) -> NDArray[np.float32]:
        await self.let.setdefault(texts[0], asyncio.Event()).wait()
        return await super().embed(texts, kind)


def test_an_answer_to_a_killed_process_is_none_to_the_next(installation: Installation) -> None:
    async def run() -> None:
        embedder = _Slow()
        async with _client(installation, embedder) as client:
            library = await client.create_library(SCOPE, "Handbook")
            installation.write("a.md", "Ants carry leaves.")
            await client.add_source(SCOPE, library.id, "folder", {"path": str(installation.folder)})
            await _asked(embedder, "Ants carry leaves.")
            os.kill(client.pid, signal.SIGKILL)
            (installation.folder / "a.md").unlink()
            installation.write("b.md", "The boiler is in the cellar.")
            await _asked(embedder, "The boiler is in the cellar.")
            for event in embedder.let.values():  # those who were asked first answer first
                event.set()
            await in_step(client, library.id, 1)
        with sqlite3.connect(installation.home / "live.db") as database:
            found = "SELECT vector FROM live_vectors JOIN live_passages USING (input_hash)"
            [(vector,)] = database.execute(found).fetchall()
        wanted = embedder._vector("The boiler is in the cellar.")
        assert np.allclose(np.frombuffer(vector, np.float32), wanted)

    asyncio.run(run())


def test_an_offer_is_taken_once_there_is_room_again(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        with zmq.asyncio.Context() as context, context.socket(zmq.ROUTER) as socket:
            database = storage.opened(installation.home)
            database.migrate("live")
            server = Server(socket, installation.home, database, [installation.folder])
            connect, tries = server._knowledge.connect, []

            async def full_at_first(embedder: Embedder) -> None:
                tries.append(embedder)
                if len(tries) == 1:
                    raise StorageFull("The disk is full.")
                await connect(embedder)

            monkeypatch.setattr(server._knowledge, "connect", full_at_first)
            server._take(b"client", wire.Offer("fake-1", 256))
            await eventually(partial(server._knowledge.status, SCOPE), lambda one: one.embedder)
            await server._knowledge.close()
            database.close()

    asyncio.run(run())


async def _asked(embedder: _Slow, text: str) -> None:
    async def asked() -> bool:
        return text in embedder.let

    await eventually(asked, bool)


def test_it_ends_with_its_parent_and_frees_the_home(installation: Installation) -> None:
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from ponant.kit import Settings\n"
        "from ponant.live import LiveClient\n"
        "from ponant.store import Scope\n"
        "async def run():\n"
        "    client = LiveClient(Settings(home=Path(sys.argv[1])))\n"
        "    await client.start()\n"
        "    await client.list_libraries(Scope(workspace_id='wsp_1'))\n"
        "    print('up', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(run())\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(installation.home)], stdout=subprocess.PIPE
    )
    try:
        assert parent.stdout.readline() == b"up\n"
        assert is_running(installation.home)
    finally:
        parent.kill()
        parent.communicate()
    deadline = time.monotonic() + PATIENCE
    while is_running(installation.home):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_second_client_asks_the_same_process(installation: Installation) -> None:
    async def run() -> None:
        async with _client(installation) as client:
            library = await client.create_library(SCOPE, "Handbook")
            other = LiveClient(installation.settings)
            await other.connect()
            try:
                outside = installation.home.parent / "elsewhere"
                outside.mkdir()
                config = {"path": str(outside)}
                with pytest.raises(Forbidden, match="outside the folders"):
                    await other.add_source(SCOPE, library.id, "folder", config)
                await other.add_source(SCOPE, library.id, "folder", config, trusted=True)
                listing = await client.list_folders(SCOPE)
                assert str(outside) in listing.roots
            finally:
                await other.close()

    asyncio.run(run())


def test_a_long_home_still_gets_a_socket(tmp_path: Path) -> None:
    home = tmp_path / ("long-" * 30)
    home.mkdir()
    address = endpoint(home)
    assert len(address) < 110
    assert address == endpoint(home)
    assert Path(address.removeprefix("ipc://")).parent.stat().st_mode & 0o077 == 0


def test_the_sample_is_a_copy_that_may_be_edited(installation: Installation) -> None:
    async def run() -> None:
        async with _client(installation) as client:
            sample = await client.create_sample(SCOPE)
            again = await client.create_sample(SCOPE)
            assert again.library.id == sample.library.id
            await in_step(client, sample.library.id, 5)
            (source,) = await client.list_sources(SCOPE, sample.library.id)
            assert (source.indexed, source.failed) == (5, 0)
            assert len(await client.questions(SCOPE, sample.library.id)) == 4
            hours = Path(sample.path) / "opening-hours.md"
            hours.write_text(hours.read_text().replace("08:30", "09:15"))
            await eventually(
                lambda: client.search(SCOPE, [sample.library.id], "When does the desk open?"),
                lambda found: any("09:15" in hit.text for hit in found.hits),
            )

    asyncio.run(run())


def test_settings_reach_the_process(tmp_path: Path) -> None:
    async def run() -> None:
        client = LiveClient(Settings(home=tmp_path / "home", live_roots=str(tmp_path)))
        await client.start()
        try:
            listing = await client.list_folders(SCOPE, str(tmp_path))
            assert [folder.name for folder in listing.folders] == []
            assert listing.roots == (str(tmp_path),)
        finally:
            await client.close()

    asyncio.run(run())
