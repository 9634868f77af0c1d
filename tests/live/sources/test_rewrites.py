"""Adversarial rewrites: however a file becomes another, what it says now is what answers."""

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from ponant.live.knowledge import Knowledge
from ponant.live.sources import files
from tests.fakes.embedder import FakeEmbedder
from tests.live.conftest import SCOPE, Installation, eventually, in_step

REWRITES = int(os.environ.get("REWRITES", "100"))  # 1,000 in the bench
_FILES = 10


def _same_second(path: Path, text: str) -> None:
    """Overwritten with as many bytes, and the old times put back."""
    status = path.stat()
    path.write_text(text)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _in_place(path: Path, text: str) -> None:
    with path.open("r+") as file:
        file.write(text)


def _truncated(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.flush()
        file.write(text)


def _renamed_over(path: Path, text: str) -> None:
    draft = path.with_suffix(".tmp")
    status = path.stat()
    draft.write_text(text)
    os.utime(draft, ns=(status.st_atime_ns, status.st_mtime_ns))
    draft.replace(path)


def _link_swapped(path: Path, text: str) -> None:
    """The name is a link, and leads to another file from one moment to the next."""
    target = path.with_name(f"{path.stem}-{abs(hash(text))}.data")
    target.write_text(text)
    link = path.with_suffix(".swap")
    link.symlink_to(target.name)
    link.replace(path)


_WAYS = (_same_second, _in_place, _truncated, _renamed_over, _link_swapped)


def test_no_rewrite_is_missed(installation: Installation) -> None:
    async def run() -> None:
        chance = random.Random(7)
        files = [installation.folder / f"{number}.md" for number in range(_FILES)]
        said = {path: f"{path.stem} says 1000000." for path in files}
        for path, text in said.items():
            path.write_text(text)
        async with installation.running(FakeEmbedder()) as knowledge:
            library = await knowledge.create_library(SCOPE, "Rewrites")
            config = {"path": str(installation.folder)}
            await knowledge.add_source(SCOPE, library.id, "folder", config)
            await in_step(knowledge, library.id, _FILES)

            ids = await _ids(knowledge, library.id)

            async def texts() -> dict[str, str]:
                return {
                    name: await knowledge.document_text(SCOPE, library.id, one)
                    for name, one in ids.items()
                }

            for number in range(0, REWRITES, _FILES):
                for turn, path in enumerate(files):
                    said[path] = f"{path.stem} says {1_000_000 + number + turn}."
                    chance.choice(_WAYS)(path, said[path])
                expected = {path.name: text for path, text in said.items()}
                await eventually(texts, lambda found, expected=expected: found == expected)
            # A file that is replaced stays the document that it was.
            assert await _ids(knowledge, library.id) == ids

    asyncio.run(run())


async def _ids(knowledge: Knowledge, library_id: str) -> dict[str, str]:
    return {one.name: one.id for one in await knowledge.list_documents(SCOPE, library_id)}


def test_what_a_walk_leaves_out_is_gone_only_where_nothing_is_in_its_place(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system may leave a name out of a folder's list while a file is renamed over it."""
    walk = files.scan

    def forgetful(root: Path, is_private: Callable[[Path], bool]) -> files.Scan:
        found = walk(root, is_private)
        for name in ("kept.md", "link.md", "gone.md"):
            found.files.pop(name, None)
        return found

    async def run() -> None:
        for name in ("kept", "gone", "other"):
            installation.write(f"{name}.md", f"The {name} boiler is in the cellar.")
        (installation.folder / "link.md").symlink_to("other.md")
        async with installation.running() as knowledge:
            library = await knowledge.create_library(SCOPE, "Walks")
            config = {"path": str(installation.folder)}
            await knowledge.add_source(SCOPE, library.id, "folder", config)
            await in_step(knowledge, library.id, 4)
            ids = await _ids(knowledge, library.id)
            monkeypatch.setattr(files, "scan", forgetful)
            (installation.folder / "gone.md").unlink()
            installation.write("new/one.md", "A new folder is walked over.")  # no event suffices
            del ids["gone.md"]

            def without_one(found: dict[str, str]) -> bool:
                return {name: found.get(name) for name in found if name != "one.md"} == ids

            await eventually(
                lambda: _ids(knowledge, library.id),
                lambda found: "one.md" in found and without_one(found),
            )

    asyncio.run(run())


@pytest.mark.parametrize("place", ["outside", "hidden"])
def test_a_link_to_where_nothing_is_read_is_shown_and_not_followed(
    installation: Installation, place: str
) -> None:
    async def run() -> None:
        outside = installation.folder.parent / "secret.md"
        hidden = installation.folder / ".secret.md"
        for path in (outside, hidden):
            path.write_text("The password is sesame.")
        installation.write("a.md", "The boiler is in the cellar.")
        (installation.folder / "b.md").symlink_to(outside if place == "outside" else hidden)
        async with installation.running() as knowledge:
            library = await knowledge.create_library(SCOPE, "Links")
            config = {"path": str(installation.folder)}
            await knowledge.add_source(SCOPE, library.id, "folder", config)
            shown = await in_step(knowledge, library.id, 1)
            assert "b.md is a link that leads out of the folder" in shown.freshness.message
            found = await knowledge.search(SCOPE, [library.id], "password sesame")
            assert all("sesame" not in hit.text for hit in found.hits)
            # What was a file inside becomes a link out of the folder: it goes.
            (installation.folder / "a.md").unlink()
            (installation.folder / "a.md").symlink_to(outside)
            await eventually(
                lambda: knowledge.list_documents(SCOPE, library.id), lambda found: not found
            )

    asyncio.run(run())


def test_a_link_inside_the_folder_follows_its_file(installation: Installation) -> None:
    async def run() -> None:
        installation.write("sub/a.md", "The boiler is in the cellar.")
        (installation.folder / "b.md").symlink_to(Path("sub") / "a.md")
        async with installation.running() as knowledge:
            library = await knowledge.create_library(SCOPE, "Links")
            config = {"path": str(installation.folder)}
            await knowledge.add_source(SCOPE, library.id, "folder", config)
            await in_step(knowledge, library.id, 2)
            installation.write("sub/a.md", "The boiler is in the attic.")

            async def texts() -> list[str]:
                hits = (await knowledge.search(SCOPE, [library.id], "boiler")).hits
                return [hit.text for hit in hits]

            await eventually(texts, lambda found: found == ["The boiler is in the attic."] * 2)

    asyncio.run(run())
