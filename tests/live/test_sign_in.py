"""``ponant live sign-in``: a source whose password changed goes on with another."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponant.accounts import Accounts
from ponant.kit import SystemClock
from ponant.live import LiveClient
from ponant.live.port import Library
from ponant.store import Database, Scope
from tests.contract.places import WebdavPlace
from tests.live.conftest import Installation, eventually
from tests.patience import PATIENCE
from tests.server import environment


@pytest.fixture
def there(tmp_path: Path) -> Iterator[WebdavPlace]:
    place = WebdavPlace(tmp_path)
    try:
        yield place
    finally:
        place.down()


def test_a_password_that_changed_is_told_and_given_anew(
    installation: Installation, there: WebdavPlace
) -> None:
    there.write("a.md", "The ladder is behind the boiler.")
    asyncio.run(_change_and_sign_in(installation, there))


async def _change_and_sign_in(installation: Installation, there: WebdavPlace) -> None:
    given = [f"--set={name}={value}" for name, value in there.config.items()]
    wanted = ("add", "Cellar", "--kind=webdav", *given, "--secret=password")
    added = await _run(installation, there.secrets["password"], *wanted)
    assert added.returncode == 0, added.stderr
    database = Database.at(installation.home / "ponant.db")
    scope = Accounts(database, SystemClock()).administrator().scope
    database.close()
    live = LiveClient(installation.settings)
    await live.start()
    try:
        await _until(live, scope, lambda one: one.freshness.state == "in_step", documents=1)

        there.down()
        there.server.password = "another-of-ada"
        there.up()
        said = "the name or the password is wrong"
        told = await _until(live, scope, lambda one: said in one.freshness.message, documents=1)
        assert "ponant live sign-in" in told.freshness.message

        stranger = await _run(installation, "x", "sign-in", "Attic", "--secret=password")
        assert stranger.returncode != 0
        assert "Traceback" not in stranger.stderr
        there.write("b.md", "The lamp is in the attic.")
        signed = await _run(
            installation, there.server.password, "sign-in", "Cellar", "--secret=password"
        )
        assert signed.returncode == 0, signed.stderr
        assert "goes on with it" in signed.stdout
        assert there.server.password not in signed.stdout + signed.stderr
        await _until(live, scope, lambda one: one.freshness.state == "in_step", documents=2)
    finally:
        await live.close()


async def _until(live: LiveClient, scope: Scope, fits, *, documents: int) -> Library:
    [library] = await eventually(
        lambda: live.list_libraries(scope),
        lambda found: all(fits(one) and one.documents == documents for one in found),
    )
    return library


async def _run(
    installation: Installation, secret: str, *arguments: str
) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "ponant", "live", *arguments],
        env=environment(installation.home) | {"COLUMNS": "200"},
        input=f"{secret}\n",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
