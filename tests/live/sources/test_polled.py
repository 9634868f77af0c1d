"""Folders of which no event tells: on network shares, and where the system's watches run out."""

import asyncio
import errno
from pathlib import Path

import pytest

from ponant.live.knowledge import Knowledge
from ponant.live.sources import folder, inotify, mounts
from tests.live.conftest import SCOPE, Installation, eventually, in_step

_MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:45 / {share} rw,relatime shared:9 - {kind} server:/export rw
41 22 0:46 / /mnt/with\\040space rw - cifs //server/share rw
"""


@pytest.fixture
def table(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of mounts in which the folder lies on an NFS share."""
    path = installation.home / "mountinfo"
    _mount(path, installation.folder, "nfs4")
    monkeypatch.setattr(mounts, "MOUNTS", path)
    monkeypatch.setattr(folder, "_RESCAN_SECONDS", 0.2)
    return path


def _mount(table: Path, folder: Path, kind: str) -> None:
    table.write_text(_MOUNTS.format(share=folder, kind=kind))


async def _follow(knowledge: Knowledge, installation: Installation) -> str:
    library = await knowledge.create_library(SCOPE, "Share")
    config = {"path": str(installation.folder)}
    await knowledge.add_source(SCOPE, library.id, "folder", config)
    return library.id


def test_the_file_system_of_a_folder(table: Path, installation: Installation) -> None:
    assert mounts.file_system(installation.folder / "sub", table) == "nfs4"
    assert mounts.file_system(installation.home, table) == "ext4"
    assert mounts.file_system(Path("/mnt/with space/a"), table) == "cifs"
    assert mounts.file_system(installation.home, installation.home / "missing") == ""
    shares = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p")
    assert all(mounts.is_network(kind) for kind in shares)
    assert not any(mounts.is_network(kind) for kind in ("ext4", "xfs", "tmpfs", "overlay", ""))


def test_a_share_is_looked_at_and_says_how_often(table: Path, installation: Installation) -> None:
    async def run() -> None:
        installation.write("a.md", "The boiler is in the cellar.")
        async with installation.running() as knowledge:
            library_id = await _follow(knowledge, installation)
            await in_step(knowledge, library_id, 1)
            (source,) = await knowledge.list_sources(SCOPE, library_id)
            assert source.interval is not None
            assert "network share (nfs4)" in source.message
            installation.write("b.md", "The keys hang by the door.")
            await in_step(knowledge, library_id, 2)

    asyncio.run(run())


def test_a_share_that_is_not_mounted_deletes_nothing(
    table: Path, installation: Installation
) -> None:
    async def run() -> None:
        installation.write("a.md", "The boiler is in the cellar.")
        async with installation.running() as knowledge:
            library_id = await _follow(knowledge, installation)
            await in_step(knowledge, library_id, 1)
        _mount(table, installation.folder, "ext4")
        (installation.folder / "a.md").unlink()
        async with installation.running() as knowledge:
            library = await eventually(
                lambda: knowledge.get_library(SCOPE, library_id),
                lambda found: found.freshness.state == "error",
            )
            assert "not mounted" in library.freshness.message
            assert library.documents == 1
            _mount(table, installation.folder, "nfs4")
            installation.write("a.md", "The boiler is in the attic.")
            await in_step(knowledge, library_id, 1)

    asyncio.run(run())


def test_where_watches_run_out_the_folder_is_looked_at(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(root: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(root))

    async def run() -> None:
        monkeypatch.setattr(inotify, "Watch", exhausted)
        monkeypatch.setattr(folder, "_RESCAN_SECONDS", 0.2)
        installation.write("a.md", "The boiler is in the cellar.")
        async with installation.running() as knowledge:
            library_id = await _follow(knowledge, installation)
            await in_step(knowledge, library_id, 1)
            (source,) = await eventually(
                lambda: knowledge.list_sources(SCOPE, library_id),
                lambda sources: "watches have run out" in sources[0].message,
            )
            assert source.interval is not None
            installation.write("b.md", "The keys hang by the door.")
            await in_step(knowledge, library_id, 2)

    asyncio.run(run())
