"""``ponant live``: with a server it is asked, without one the next start is told."""

import asyncio
import subprocess
import sys
from pathlib import Path

from ponant.accounts import Accounts
from ponant.kit import SystemClock
from ponant.live import LiveClient
from ponant.store import Database
from tests.live.conftest import Installation, eventually
from tests.patience import PATIENCE
from tests.server import environment


def _run(installation: Installation, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ponant", "live", *arguments],
        env=environment(installation.home) | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_what_is_declared_without_a_server_is_read_at_the_next_start(
    installation: Installation,
) -> None:
    outside = installation.home.parent / "outside"
    outside.mkdir()
    (outside / "a.md").write_text("The boiler is in the cellar.")
    added = _run(installation, "add", "Handbook", str(outside))
    assert added.returncode == 0, added.stderr
    assert "next start" in added.stdout
    assert "among the folders that sources may lie in" in added.stdout
    twice = _run(installation, "add", "Handbook", str(outside))
    assert (twice.returncode != 0, "follows" in twice.stderr) == (True, True)
    asyncio.run(_serve_and_ask(installation, outside))


async def _serve_and_ask(installation: Installation, outside: Path) -> None:
    database = Database.at(installation.home / "ponant.db")
    scope = Accounts(database, SystemClock()).administrator().scope
    database.close()
    live = LiveClient(installation.settings)
    await live.start()
    try:
        await eventually(
            lambda: live.list_libraries(scope),
            lambda found: [(one.name, one.documents) for one in found] == [("Handbook", 1)],
        )
        listing = await live.list_folders(scope)
        assert str(outside) in listing.roots
        listed = await asyncio.to_thread(_run, installation, "list")
        assert "Handbook" in listed.stdout
        found = await asyncio.to_thread(_run, installation, "search", "Handbook", "boiler")
        assert "The boiler is in the cellar." in found.stdout
        state = await asyncio.to_thread(_run, installation, "status")
        assert "1 libraries, 1 documents, 1 passages, 1 sources followed" in state.stdout
        assert f"folder {outside}" in state.stdout
        failed = await asyncio.to_thread(_run, installation, "failed", "Handbook")
        assert "Everything was read." in failed.stdout
        again = await asyncio.to_thread(_run, installation, "retry", "Handbook")
        assert "0 documents are read again" in again.stdout
        more = installation.folder / "more"
        more.mkdir()
        (more / "a.md").write_text("The keys hang by the door.")
        added = await asyncio.to_thread(_run, installation, "add", "More", str(more), "--watch")
        assert "reads it now" in added.stdout
        assert "in step" in added.stdout
        site = ("--kind", "web", "--set", "url=https://nowhere.invalid/", "--set", "links=1")
        followed = await asyncio.to_thread(_run, installation, "add", "Site", *site)
        assert "reads it now" in followed.stdout, followed.stderr
        missing = await asyncio.to_thread(_run, installation, "add", "None", "/no/such/folder")
        assert missing.returncode != 0
        assert "There is no folder /no/such/folder" in missing.stderr
        assert "Traceback" not in missing.stderr
        names = [one.name for one in await live.list_libraries(scope)]
        assert names == ["Handbook", "More", "Site"]
    finally:
        await live.close()


def test_commands_that_need_a_server_say_so(installation: Installation) -> None:
    for arguments in (("status",), ("search", "Handbook", "boiler")):
        answer = _run(installation, *arguments)
        assert answer.returncode != 0
        assert "Start one with: ponant serve" in answer.stderr
