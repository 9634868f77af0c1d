"""The live process: asked over its socket, killed at any moment, alone in its home."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ponant.kit import Settings
from ponant.kit.errors import Forbidden, NotFound, Unavailable
from ponant.live import LiveClient
from ponant.live.address import endpoint, is_running
from ponant.live.indexing.embedding import EmbedderSource
from ponant.live.port import Change, Embedder
from tests.fakes.embedder import FakeEmbedder
from tests.live.conftest import SCOPE, STRANGER, Installation, eventually, in_step
from tests.live.crash.agreement import disagreements


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
            await client.delete_library(SCOPE, library.id)
            with pytest.raises(NotFound):
                await client.get_library(SCOPE, library.id)
            kinds = [what for change in changes for _, _, what in change.documents]
            assert kinds == ["added", "updated", "deleted"]
            assert [c.version for c in changes] == sorted(c.version for c in changes)
            listening.cancel()

    asyncio.run(run())


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
            await in_step(client, library.id, 4 * 15 - 3 + 4)
            names = {d.id: d.name for d in await client.list_documents(SCOPE, library.id)}
            assert [names[one] for one in uploads] == [f"{n}.txt" for n in range(4)]
            assert "1-3.md" not in names.values()
            found = await client.search(SCOPE, [library.id], "Upload 2", 3)
            assert found.hits[0].text == "Upload 2."
        assert disagreements(installation.home, complete=True) == []

    asyncio.run(run())


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
    deadline = time.monotonic() + 5
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
