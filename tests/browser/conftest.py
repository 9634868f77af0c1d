"""A real Chromium in front of a real server; every page is watched for what it must not do."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.browser.folders import Handbook
from tests.browser.recording import Recorder
from tests.patience import PATIENCE
from tests.server import Server, serving

_CHROMIUM = "/usr/bin/chromium"
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
expect.set_options(timeout=PATIENCE * 1000)

_LINK = re.compile(r"https?://\S+/sign-in#token=\S+")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of a browser that knows nobody; it fails the test that breaks the content policy."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    broken: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            broken.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: broken.append(str(error)))
    yield page
    context.close()
    assert broken == []


@pytest.fixture(scope="session")
def roots() -> Iterator[Path]:
    """The folder that the page may list and read."""
    with tempfile.TemporaryDirectory(prefix="ponant-browser-") as folder:
        yield Path(folder).resolve()


@pytest.fixture(scope="session")
def shared(
    tmp_path_factory: pytest.TempPathFactory, models_home: Path, roots: Path
) -> Iterator[Server]:
    """One server for the tests that do not need an empty one."""
    with _server(tmp_path_factory.mktemp("browser"), models_home, roots) as server:
        yield server


@pytest.fixture
def fresh(tmp_path: Path, models_home: Path, roots: Path) -> Iterator[Server]:
    """A server that nobody has visited."""
    with _server(tmp_path, models_home, roots) as server:
        yield server


def _server(folder: Path, models_home: Path, roots: Path) -> AbstractContextManager[Server]:
    home = folder / "home"
    home.mkdir(mode=0o700)
    (home / "models").symlink_to(models_home / "models")
    networks = "127.0.0.2"  # where tests serve what sources read
    return serving(home, {"PONANT_LIVE_ROOTS": str(roots), "PONANT_LIVE_NETWORKS": networks})


@pytest.fixture
def handbook(roots: Path) -> Handbook:
    """A folder of two files, of which one says when the desk opens."""
    return Handbook.write(Path(tempfile.mkdtemp(prefix="team-", dir=roots)) / "Handbook")


@pytest.fixture
def recorder() -> Recorder:
    """Records where ``RECORD_ANSWER`` names the file to write."""
    path = os.environ.get("RECORD_ANSWER")
    return Recorder(Path(path) if path else None)


def sign_in_link(server: Server) -> str:
    printed = server.run("link").stdout
    found = _LINK.search(printed)
    assert found, printed
    return found.group()


def sign_in(page: Page, server: Server) -> None:
    """Open the link that `ponant link` prints; done once the message box is there."""
    page.goto(sign_in_link(server))
    page.get_by_role("textbox", name="Message").wait_for()
