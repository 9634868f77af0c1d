"""Coming in by the link, and going out."""

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import sign_in, sign_in_link
from tests.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.model]


def test_without_a_session_the_page_says_how_to_get_one(page: Page, shared: Server) -> None:
    page.goto(f"{shared.url}/libraries")

    expect(page.get_by_role("heading", name="Sign in to Ponant")).to_be_visible()
    expect(page.get_by_text("ponant link")).to_be_visible()
    expect(page.get_by_role("textbox", name="Message")).to_have_count(0)


def test_a_link_signs_in_once(page: Page, shared: Server) -> None:
    link = sign_in_link(shared)

    page.goto(link)
    expect(page.get_by_role("textbox", name="Message")).to_be_visible()
    assert "token" not in page.url

    page.context.clear_cookies()
    page.goto("about:blank")
    page.goto(link)
    expect(page.get_by_role("heading", name="Sign in to Ponant")).to_be_visible()
    expect(page.get_by_role("alert")).not_to_be_empty()


def test_signing_out_ends_the_session(page: Page, shared: Server) -> None:
    sign_in(page, shared)
    page.get_by_role("link", name="Settings").click()
    cookies = {one["name"]: one["value"] for one in page.context.cookies()}

    page.get_by_role("button", name="Sign out").click()

    expect(page.get_by_role("heading", name="Sign in to Ponant")).to_be_visible()
    assert httpx.get(f"{shared.url}/v1/whoami", cookies=cookies).status_code == 401


def test_the_session_cannot_be_used_from_elsewhere(page: Page, shared: Server) -> None:
    sign_in(page, shared)

    def create(origin: str) -> int:
        response = page.request.post(
            f"{shared.url}/v1/libraries", data={"name": "Stolen"}, headers={"Origin": origin}
        )
        return response.status

    assert create("http://elsewhere.test") == 403
    foreign_host = {"Host": "elsewhere.test"}
    assert httpx.get(f"{shared.url}/", headers=foreign_host).status_code in {400, 403, 421}
    names = [one["name"] for one in page.request.get(f"{shared.url}/v1/libraries").json()["data"]]
    assert "Stolen" not in names
