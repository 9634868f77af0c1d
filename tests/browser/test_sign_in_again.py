"""A source whose password changed is given the new one on the page, which never shows the old."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import sign_in
from tests.server import Server, free_port
from tests.servers.webdav import PASSWORD, USER, WebdavServer

pytestmark = [pytest.mark.browser, pytest.mark.model]

_HOST = "127.0.0.2"  # the one inner address that the server under test may reach
_ANOTHER = "another-of-ada"


def _follow(page: Page, server: Server, cloud: WebdavServer) -> None:
    """A library that follows the folder, on the screen."""
    libraries = f"{server.url}/v1/libraries"
    made = page.request.post(libraries, data={"name": "Cloud"})
    library = made.json()["id"]
    config = {"url": cloud.url, "username": USER, "interval": 0.2}
    source = {"kind": "webdav", "config": config, "secrets": {"password": PASSWORD}}
    assert page.request.post(f"{libraries}/{library}/sources", data=source).ok
    page.goto(f"{server.url}/libraries/{library}")


def test_a_source_that_was_refused_goes_on_with_the_new_password(
    page: Page, shared: Server, tmp_path: Path
) -> None:
    (tmp_path / "a.md").write_text("The ladder is behind the boiler.")
    cloud = WebdavServer(tmp_path, free_port(), _HOST)
    cloud.start()
    try:
        sign_in(page, shared)
        _follow(page, shared, cloud)
        sources = page.get_by_role("list", name="Sources")
        expect(sources).to_contain_text("in step, 1 document, 1 read")
        again = sources.get_by_role("button", name=f"Sign in again to {cloud.url}")
        expect(again).to_have_text("")

        cloud.stop()
        cloud.password = _ANOTHER
        cloud.start()
        expect(sources).to_contain_text("the name or the password is wrong")
        expect(again).to_have_text("Sign in again")
        again.click()
        dialog = page.get_by_role("dialog", name="Sign in again")
        expect(dialog.get_by_label("Username")).to_have_value(USER)
        password = dialog.get_by_label("Password")
        expect(password).to_have_attribute("type", "password")
        expect(password).to_have_value("")
        assert PASSWORD not in page.content()

        (tmp_path / "b.md").write_text("The lamp is in the attic.")
        dialog.get_by_role("button", name="Sign in", exact=True).click()
        expect(dialog).to_be_visible()  # nothing is sent without a password
        password.fill(_ANOTHER)
        with page.expect_response(lambda answer: answer.request.method == "PATCH") as answer:
            dialog.get_by_role("button", name="Sign in", exact=True).click()
        assert answer.value.ok
        assert _ANOTHER not in answer.value.text()
        expect(dialog).to_have_count(0)
        expect(sources).to_contain_text("in step, 2 documents, 2 read")
        expect(again).to_have_text("")
    finally:
        cloud.stop()
