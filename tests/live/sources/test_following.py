"""What the follower does for every source: pace, progress, faults, passwords, large files."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from dulwich.repo import Repo
from dulwich.server import DictBackend
from dulwich.web import make_wsgi_chain

from ponant.live.sources.folder import FolderSource
from ponant.live.sources.generator import GeneratorSource, Item
from ponant.live.sources.kind import Kind
from ponant.live.sources.kinds import register
from ponant.live.sources.port import Batch, Content, Found
from ponant.live.sources.push import PushConfig
from tests.contract.places import GitPlace, WebdavPlace
from tests.fakes.embedder import FakeEmbedder
from tests.live.conftest import SCOPE, Installation, eventually, in_step
from tests.patience import tries
from tests.server import free_port


def _generator(name: str, function: Any, interval: float | None = None) -> None:
    source = GeneratorSource(function, interval)
    register(
        Kind(name=name, config=PushConfig, open=lambda *_: source, reaches="none", hint="a test's")
    )


async def _follow(knowledge: Any, kind: str, config: dict[str, Any], **more: Any) -> str:
    library = await knowledge.create_library(SCOPE, kind)
    await knowledge.add_source(SCOPE, library.id, kind, config, trusted=True, **more)
    return str(library.id)


def test_a_fast_source_waits_for_a_slow_index_and_shows_how_far_it_is(
    installation: Installation,
) -> None:
    made = 0

    async def many(_cursor: Any) -> AsyncIterator[Item]:
        nonlocal made
        for number in range(3000):
            made += 1
            yield Item(key=f"{number}", text=f"Item {number}.", cursor={"next": number + 1})
            await asyncio.sleep(0)

    async def run() -> None:
        _generator("torrent", many)
        async with installation.running(connect=False) as knowledge:
            library_id = await _follow(knowledge, "torrent", {})
            (source,) = await eventually(
                lambda: knowledge.list_sources(SCOPE, library_id),
                lambda sources: sources[0].indexed > 20,
            )
            assert made - source.indexed <= 4 * 256, "what runs ahead is bounded"
            assert source.state == "syncing"
            assert source.rate > 0
            assert source.seconds_left is not None
            change = next(one for one in installation.changes if one.sources)
            assert change.sources[0].kind == "torrent"

    asyncio.run(run())


class _Meanwhile:
    """A source of three documents, of which the last is saved again while the first is read."""

    interval = None

    def __init__(self) -> None:
        self.reads: list[str] = []
        self._told = False

    async def batches(self, _cursor: Any) -> AsyncIterator[Batch]:
        yield Batch(changes=self._found("abc"), complete=True, newer=self._newer, seen=3)
        await asyncio.Event().wait()

    async def _newer(self) -> Batch | None:
        if self._told or not self.reads:
            return None
        self._told = True
        return Batch(changes=self._found("cd"), complete=False, seen=4)

    def _found(self, keys: str) -> list[Found]:
        return [Found(key=key, signature="", name=key, read=self._reading(key)) for key in keys]

    def _reading(self, key: str) -> Any:
        async def read() -> Content:
            self.reads.append(key)
            return Content.of(f"This is {key}.".encode(), "")

        return read


def test_what_is_saved_meanwhile_overtakes_the_rest_of_a_batch(installation: Installation) -> None:
    source = _Meanwhile()

    async def run() -> None:
        register(
            Kind(
                name="meanwhile",
                config=PushConfig,
                open=lambda *_: source,
                reaches="none",
                hint="a test's",
            )
        )
        async with installation.running(connect=False) as knowledge:
            library_id = await _follow(knowledge, "meanwhile", {})
            await in_step(knowledge, library_id, 4)
            (state,) = await knowledge.list_sources(SCOPE, library_id)
            assert state.seen == 4
        assert source.reads == ["a", "c", "d", "b"]

    asyncio.run(run())


def test_a_folder_tells_of_what_changed_since_it_was_looked_at(tmp_path: Path) -> None:
    root = tmp_path / "documents"
    root.mkdir()
    (root / "a.md").write_text("This is a.md.")

    async def aside(function: Any, *arguments: Any) -> Any:
        return await asyncio.to_thread(function, *arguments)

    async def told(batch: Batch) -> Batch | None:
        """What is newer; None where all is to be looked at, as when the watching has just begun."""
        assert batch.newer is not None
        assert batch.stale is not None
        for _ in tries():
            if (newer := await batch.newer()) is not None:
                return newer
            if batch.stale():
                return None
            await asyncio.sleep(0.02)
        raise AssertionError("nothing was told")

    async def run() -> None:
        source = FolderSource(root, tmp_path / "home", aside)
        async with aclosing(source.batches(None)) as batches:
            for number, _ in enumerate(tries()):
                batch = await anext(batches)
                text = f"This is a.md, written {number} times."
                (root / "a.md").write_text(text)
                if (newer := await told(batch)) is not None:
                    break
            assert newer is not None
            (found,) = newer.changes
            assert isinstance(found, Found)
            assert found.key == "a.md"
            assert (await found.read()).data.decode() == text

    asyncio.run(run())


def test_a_folder_reads_with_the_look_and_again_what_is_written_after_it(tmp_path: Path) -> None:
    root, runs = tmp_path / "documents", 0
    root.mkdir()

    async def aside(function: Any, *arguments: Any) -> Any:
        nonlocal runs
        runs += 1
        return await asyncio.to_thread(function, *arguments)

    async def saved(batches: Any, text: str) -> Batch:
        """What events tell of a file; before the watching has begun everything is looked at."""
        for _ in tries():
            (root / "a.md").write_text(text)
            batch: Batch = await anext(batches)
            if not batch.complete:
                return batch
        raise AssertionError("no event told of it")

    async def run() -> None:
        source = FolderSource(root, tmp_path / "home", aside)
        async with aclosing(source.batches(None)) as batches:
            for _ in tries():  # the events of an earlier save may come late
                (found,) = (await saved(batches, "It opens at nine.")).changes
                before = runs
                assert isinstance(found, Found)
                assert (await found.read()).data == b"It opens at nine."
                if runs == before:
                    break
            assert runs == before, "it was read with the look"

            batch = await saved(batches, "It opens at ten.")
            (found,) = batch.changes
            (root / "a.md").write_text("It opens at eleven.")
            for _ in tries():
                if batch.stale is None or batch.stale():
                    break
                await asyncio.sleep(0.02)
            assert isinstance(found, Found)
            assert (await found.read()).data == b"It opens at eleven."

    asyncio.run(run())


def test_a_log_goes_on_from_its_cursor(installation: Installation) -> None:
    begun: list[int] = []

    def log(cursor: dict[str, int] | None) -> Iterator[Item]:
        begun.append((cursor or {}).get("next", 0))
        for number in range(begun[-1], 5):
            yield Item(key=f"{number}", text=f"Item {number}.", cursor={"next": number + 1})

    async def run() -> None:
        _generator("log", log)
        async with installation.running(connect=False) as knowledge:
            library_id = await _follow(knowledge, "log", {})
            await in_step(knowledge, library_id, 5)
        _generator("log", log)
        async with installation.running(connect=False) as knowledge:
            await in_step(knowledge, library_id, 5)
            await eventually(_count(begun), lambda count: count == 2)
        assert begun == [0, 5]

    asyncio.run(run())


def _count(items: list[int]) -> Any:
    async def count() -> int:
        return len(items)

    return count


def test_a_password_that_changed_is_said(installation: Installation, tmp_path: Path) -> None:
    async def run() -> None:
        there = WebdavPlace(tmp_path)
        there.write("a.md", "The boiler is in the cellar.")
        async with installation.running() as knowledge:
            more = {"secrets": there.secrets}
            library_id = await _follow(knowledge, "webdav", there.config, **more)
            await in_step(knowledge, library_id, 1)
            there.down()
            there.server.password = "another"
            there.up()
            library = await eventually(
                lambda: knowledge.get_library(SCOPE, library_id),
                lambda found: "password is wrong" in found.freshness.message,
            )
            assert library.freshness.state == "error"
            assert library.documents == 1
            assert [one.refused for one in await knowledge.list_sources(SCOPE, library_id)] == [
                True
            ]
            there.down()
            await eventually(
                lambda: knowledge.list_sources(SCOPE, library_id),
                lambda found: "cannot be reached" in found[0].message and not found[0].refused,
            )

    asyncio.run(run())


def test_a_file_of_two_gigabytes_costs_nothing_and_keeps_nothing_out(
    installation: Installation,
) -> None:
    async def run() -> None:
        with (installation.folder / "huge.txt").open("wb") as file:
            file.truncate(2 * 2**30)
        installation.write("a.md", "The boiler is in the cellar.")
        async with installation.running() as knowledge:
            config = {"path": str(installation.folder)}
            library_id = await _follow(knowledge, "folder", config)
            await in_step(knowledge, library_id, 2)
            documents = await knowledge.list_documents(SCOPE, library_id)
            assert [(one.path, one.state) for one in documents] == [
                ("a.md", "indexed"),
                ("huge.txt", "failed"),
            ]
            assert "2048 MiB" in documents[1].message

    asyncio.run(run())


class _Silent(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_a_repository_is_fetched_over_http_and_only_what_changed_is_read(
    installation: Installation, tmp_path: Path
) -> None:
    async def run(url: str, there: GitPlace) -> None:
        for number in range(4):
            there.write(f"{number}.md", f"Room {number} has a window to the west.")
        embedder = FakeEmbedder()
        async with installation.running(embedder) as knowledge:
            config = {"repository": url, "interval": 0.2}
            library_id = await _follow(knowledge, "git", config)
            await in_step(knowledge, library_id, 4)
            (source,) = await knowledge.list_sources(SCOPE, library_id)
            own = installation.home / "sources" / source.id
            assert own.is_dir()
            embedder.passages.clear()
            there.write("2.md", "Room 2 has a window to the north.")
            there.write("4.md", "Room 4 has no window.")
            await in_step(knowledge, library_id, 5)
            assert len(embedder.passages) == 2
            await knowledge.remove_source(SCOPE, library_id, source.id)
            assert not own.exists()

    there = GitPlace(tmp_path)
    application = make_wsgi_chain(DictBackend({"/rooms.git": Repo(str(there.folder))}))
    port = free_port()
    server = make_server("127.0.0.1", port, application, handler_class=_Silent)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        asyncio.run(run(f"http://127.0.0.1:{port}/rooms.git", there))
    finally:
        server.shutdown()
        server.server_close()
