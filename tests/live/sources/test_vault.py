"""What a source signs in with lies sealed in the database, and a lost key is shown and mended."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

from ponant.kit.sealing import FILE
from tests.contract.places import WebdavPlace
from tests.live.conftest import SCOPE, Installation, eventually, in_step


def _stored(home: Path) -> dict[str, str]:
    with sqlite3.connect(home / "live.db") as database:
        (row,) = database.execute("SELECT secrets FROM live_sources").fetchall()
    found: dict[str, str] = json.loads(row[0])
    return found


def _bytes_on_disk(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(home.glob("live.db*")))


async def _state(knowledge: Any, library_id: str, state: str) -> str:
    (source,) = await eventually(
        lambda: knowledge.list_sources(SCOPE, library_id),
        lambda sources: sources[0].state == state,
    )
    return str(source.message)


def test_passwords_are_sealed_and_a_lost_key_is_shown_until_it_is_back(
    installation: Installation, tmp_path: Path
) -> None:
    there = WebdavPlace(tmp_path)
    there.write("desk.md", "The desk opens at eight.")
    home, password = installation.home, there.secrets["password"]

    async def run() -> None:
        async with installation.running() as knowledge:
            library = await knowledge.create_library(SCOPE, "files")
            await knowledge.add_source(
                SCOPE, library.id, "webdav", there.config, secrets=there.secrets, trusted=True
            )
            await in_step(knowledge, library.id)
        assert password.encode() not in _bytes_on_disk(home)
        assert (home / FILE).stat().st_mode & 0o777 == 0o600

        key = (home / FILE).read_bytes()
        (home / FILE).unlink()
        async with installation.running() as knowledge:
            message = await _state(knowledge, library.id, "error")
            assert FILE in message
            assert "Put it back" in message
            assert len(await knowledge.list_documents(SCOPE, library.id)) == 1  # nothing is lost
        (home / FILE).write_bytes(key)
        async with installation.running() as knowledge:
            await _state(knowledge, library.id, "in_step")

        # As a version without seals left it.
        with sqlite3.connect(home / "live.db") as database:
            plain = json.dumps({"password": password})
            database.execute("UPDATE live_sources SET secrets = ?", (plain,))
        database.close()
        assert password.encode() in _bytes_on_disk(home)
        async with installation.running() as knowledge:
            await _state(knowledge, library.id, "in_step")
            assert _stored(home)["password"].startswith("sealed:1:")
        assert password.encode() not in _bytes_on_disk(home)

    try:
        asyncio.run(run())
    finally:
        there.down()
