"""Sources on a library's screen: how far the first reading has come, and places of other kinds."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import sign_in
from tests.patience import tries
from tests.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.model]

_FILES = 60
_HOST = "127.0.0.2"  # the one inner address that the server under test may reach

# Keeps every text that the list of sources has had, since a reading may be over within a second.
_LISTEN = """() => {
  window.said = [];
  const look = () => {
    const list = document.querySelector('ul[aria-label="Sources"]');
    if (list) window.said.push([list.innerText, list.querySelectorAll("progress").length]);
  };
  const options = { childList: true, subtree: true, characterData: true };
  new MutationObserver(look).observe(document.body, options);
}"""


class _Site(BaseHTTPRequestHandler):
    """One page; there is no robots.txt."""

    page: ClassVar[bytes] = b"<title>Tides</title><p>High water at the pier is at 14:20.</p>"

    def do_GET(self) -> None:
        found = self.path == "/tides.html"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.page if found else b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base has it
        """Nothing on the screen of the tests."""


@contextmanager
def _site() -> Iterator[str]:
    with ThreadingHTTPServer((_HOST, 0), _Site) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{_HOST}:{server.server_port}/tides.html"
        finally:
            server.shutdown()


def _open_library(page: Page, server: Server, name: str) -> Locator:
    """A new library on the screen; returns its list of sources."""
    sign_in(page, server)
    made = page.request.post(f"{server.url}/v1/libraries", data={"name": name})
    assert made.ok
    page.goto(f"{server.url}/libraries/{made.json()['id']}")
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    return page.get_by_role("list", name="Sources")


def _notes(roots: Path) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="notes-", dir=roots))
    for number in range(_FILES):
        text = f"# Note {number}\n\nThe boat in berth {number} was painted in {1900 + number}.\n"
        (folder / f"note-{number:02}.md").write_text(text, encoding="utf-8")
    (folder / "scan.pdf").write_bytes(b"This is no PDF.")
    return folder


def test_a_first_reading_shows_how_far_it_is_and_what_could_not_be_read(
    page: Page, shared: Server, roots: Path
) -> None:
    folder = _notes(roots)
    sources = _open_library(page, shared, "Notes")
    page.evaluate(_LISTEN)
    page.get_by_role("button", name="Add folder").click()
    page.get_by_role("list", name="Folders").get_by_role("button", name=folder.name).click()
    page.get_by_role("button", name=f"Add {folder.name}", exact=True).click()

    in_step = re.compile(rf"in step, {_FILES + 1} documents, {_FILES} read, 1 could not be read")
    expect(sources).to_contain_text(in_step)
    expect(sources.get_by_role("progressbar")).to_have_count(0)
    said = page.evaluate("window.said")
    assert any(re.search(r"\d+ of 61 read.* s left", text) and bars for text, bars in said), said

    broken = page.get_by_role("region", name="Could not be read")
    expect(broken.get_by_role("listitem")).to_contain_text("scan.pdf")
    (folder / "scan.pdf").unlink()
    expect(broken).to_have_count(0)


def test_what_happened_before_the_page_listened_is_seen(
    page: Page, shared: Server, roots: Path
) -> None:
    sign_in(page, shared)
    made = page.request.post(f"{shared.url}/v1/libraries", data={"name": "Unheard"})
    address = f"{shared.url}/v1/libraries/{made.json()['id']}"
    held: list[Route] = []
    page.route("**/v1/libraries/events", lambda route: held.append(route))
    with page.expect_response(f"{address}/sources"):
        page.goto(address.replace("/v1/", "/"))
    folder = Path(tempfile.mkdtemp(prefix="unheard-", dir=roots))
    (folder / "a.md").write_text("The ladder is behind the boiler.", encoding="utf-8")
    source = {"kind": "folder", "config": {"path": str(folder)}}
    assert page.request.post(f"{address}/sources", data=source).ok
    for _ in tries():
        [found] = page.request.get(f"{address}/sources").json()["data"]
        if found["state"] == "in_step" and held:
            break
        page.wait_for_timeout(50)
    for route in held:
        route.continue_()
    expect(page.get_by_role("list", name="Sources")).to_contain_text("in step, 1 document, 1 read")


def test_a_document_that_could_not_be_read_is_tried_again(
    page: Page, shared: Server, tmp_path: Path
) -> None:
    scan = tmp_path / "scan.pdf"
    scan.write_bytes(b"This is no PDF.")
    _open_library(page, shared, "Scans")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add files").click()
    chooser.value.set_files(scan)
    broken = page.get_by_role("region", name="Could not be read")
    expect(broken).to_contain_text("scan.pdf")
    with page.expect_response(re.compile("/retry$")) as answer:
        broken.get_by_role("button", name="Try again").click()
    assert answer.value.json() == {"retried": 1}


def test_a_web_page_becomes_a_source(page: Page, shared: Server) -> None:
    sources = _open_library(page, shared, "Tides")
    page.get_by_role("button", name="Add source").click()
    dialog = page.get_by_role("dialog", name="Add source")
    dialog.get_by_label("Kind").select_option("Web pages")
    with _site() as address:
        dialog.get_by_label("Address").fill(address)
        dialog.get_by_role("button", name="Add Web pages").click()
        expect(dialog).to_have_count(0)
        expect(sources).to_contain_text("1 document, 1 read")
    expect(sources).to_contain_text(f"Web pages {address}")
    expect(sources).to_contain_text("looks every 1 h")


def test_a_source_that_is_refused_says_why_and_its_password_is_not_kept(
    page: Page, shared: Server
) -> None:
    _open_library(page, shared, "Share")
    page.get_by_role("button", name="Add source").click()
    dialog = page.get_by_role("dialog", name="Add source")
    dialog.get_by_label("Kind").select_option("WebDAV folder")
    dialog.get_by_label("Address").fill("nowhere")
    password = dialog.get_by_label("Password")
    expect(password).to_have_attribute("type", "password")
    password.fill("open sesame")
    dialog.get_by_role("button", name="Add WebDAV folder").click()
    expect(dialog.get_by_role("alert")).to_contain_text("http")
    dialog.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Add source").click()
    dialog.get_by_label("Kind").select_option("WebDAV folder")
    expect(password).to_have_value("")
