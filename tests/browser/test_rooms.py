"""Libraries, models and settings: what people set up on the page."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import sign_in
from tests.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.model]


def test_files_become_a_library_that_can_be_deleted(
    page: Page, shared: Server, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("The lighthouse was built in 1887.", encoding="utf-8")
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"This is no PDF.")
    sign_in(page, shared)
    page.get_by_role("link", name="Libraries").click()

    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add my files").click()
    chooser.value.set_files([notes, broken])
    expect(page.get_by_role("heading", name="Ask My files")).to_be_visible()

    page.get_by_role("link", name="Libraries").click()
    page.get_by_role("link", name=re.compile("^My files")).click()
    row = page.get_by_role("listitem").filter(has_text="broken.pdf")
    expect(row).to_contain_text(re.compile("could not|cannot|no PDF|not a PDF", re.IGNORECASE))
    expect(page.get_by_role("listitem").filter(has_text="notes.txt")).to_be_visible()

    page.get_by_role("button", name="Delete library").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete library").click()
    expect(page.get_by_role("heading", name="Libraries")).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("^My files"))).to_have_count(0)


def test_the_models_tell_where_they_run_and_what_they_forbid(page: Page, shared: Server) -> None:
    sign_in(page, shared)

    page.get_by_role("link", name="Models").click()

    card = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="starter"))
    expect(card).to_contain_text("here, on this machine")
    expect(card).to_contain_text("Licence")
    expect(card).to_contain_text("Restrictions")


def test_a_key_is_shown_once_and_can_be_taken_back(page: Page, shared: Server) -> None:
    sign_in(page, shared)
    page.get_by_role("link", name="Settings").click()
    page.get_by_label("Name of the key").fill("notebook")
    page.get_by_role("button", name="Create key").click()
    key = page.get_by_role("status").locator("code").inner_text()
    assert _status_with(shared, key) == 200

    page.reload()
    expect(page.get_by_role("list", name="API keys")).to_contain_text("notebook")
    assert key not in page.content()

    page.get_by_role("button", name="Revoke notebook").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke key").click()
    expect(page.get_by_role("list", name="API keys")).not_to_contain_text("notebook")
    assert _status_with(shared, key) == 401


def _status_with(server: Server, key: str) -> int:
    with server.client(key) as client:
        return client.get("/v1/models").status_code


def test_the_theme_stays(page: Page, shared: Server) -> None:
    sign_in(page, shared)
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("radio", name="Dark").check()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")

    page.reload()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.get_by_role("radio", name="Dark")).to_be_checked()


def test_the_policy_is_the_promised_one(shared: Server) -> None:
    policy = httpx.get(f"{shared.url}/").headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; img-src 'self' data: blob:; connect-src 'self'")
