"""A database that was put back from a backup answers rightly beside files of a later past."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from ponant.live.indexing import vectors
from ponant.live.indexing.keeping import keep
from ponant.live.port import SearchOptions
from tests.databases import KINDS
from tests.live.conftest import SCOPE, Installation, found_by_meaning
from tests.servers import postgres


def _back_up(installation: Installation, to: Path) -> None:
    to.mkdir()
    if installation.address:
        postgres.shared().dump(installation.address, to / "live.dump")
        return
    for path in installation.home.glob("live.db*"):
        shutil.copy2(path, to)


def _put_back(installation: Installation, backup: Path) -> None:
    if installation.address:
        installation.address = postgres.shared().restored(backup / "live.dump")
        return
    for old in installation.home.glob("live.db*"):
        old.unlink()
    for path in backup.glob("live.db*"):
        shutil.copy2(path, installation.home)


def _text(name: str) -> str:
    return f"The {name} key opens the {name} room."


async def _check(knowledge: Any, library_id: str, names: list[str]) -> None:
    await found_by_meaning(knowledge, library_id, len(names))
    for name in names:
        options = SearchOptions(mode="vector")
        found = await knowledge.search(SCOPE, [library_id], _text(name), 3, options)
        assert found.hits[0].document_name == f"{name}.md"


@pytest.mark.parametrize("kind", KINDS)
def test_a_backup_is_put_back_and_vectors_of_later_go_by_themselves(
    kind: str, installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "WORTH_A_FILE", 4)
    if kind == "postgres":
        installation.address = postgres.shared().fresh()
    first = [f"old{n}" for n in range(6)]
    lost = [f"lost{n}" for n in range(6)]
    later = [f"later{n}" for n in range(6)]
    backup = tmp_path / "backup"

    def write(*names: str) -> None:
        for name in names:
            installation.write(f"{name}.md", _text(name))

    async def run() -> None:
        write(*first)
        async with installation.running() as knowledge:
            library = await knowledge.create_library(SCOPE, "Keys")
            config = {"path": str(installation.folder)}
            await knowledge.add_source(SCOPE, library.id, "folder", config)
            await _check(knowledge, library.id, first)
        _back_up(installation, backup)
        write(*lost)
        async with installation.running() as knowledge:
            await _check(knowledge, library.id, first + lost)
            await keep(knowledge._ingestion)
        assert list((installation.home / "vectors").glob("*.vectors"))

        _put_back(installation, backup)
        for name in lost:
            (installation.folder / f"{name}.md").unlink()
        for _ in range(2):  # what is known, and again from the file that is made of it
            write(*later)
            async with installation.running() as knowledge:
                await _check(knowledge, library.id, first + later)
                await keep(knowledge._ingestion)
                await _check(knowledge, library.id, first + later)

    asyncio.run(run())
