"""A question that is kept answered: its answer changes on the screen after an edit of the file."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chatting import add_folder, answered, ask, send
from tests.browser.conftest import sign_in
from tests.browser.folders import Handbook
from tests.browser.recording import Recorder
from tests.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.model]

QUESTION = "When does the reception desk open?"


def _watched(page: Page) -> None:
    """Watch the answer on the screen, and open the watch once it has been answered."""
    page.get_by_role("button", name="Watch this answer").click()
    page.get_by_role("link", name="This question is watched").click()
    expect(page.get_by_role("heading", name=QUESTION)).to_be_visible()
    expect(page.get_by_text("08:30").first).to_be_visible()


def _hurry(page: Page) -> None:
    """Answer soon after a change and as often as need be; people wait a little longer."""
    address = page.url.replace("/watches/", "/v1/watches/")
    assert page.request.patch(address, data={"settle": 0.5, "every": 0}).ok


def test_a_watched_answer_changes_after_an_edit(
    page: Page, shared: Server, handbook: Handbook, recorder: Recorder
) -> None:
    recorder.prepare(page)
    recorder.file(page, handbook.name, handbook.line)
    sign_in(page, shared)
    add_folder(page, handbook.folder)
    send(page, QUESTION)
    recorder.follow(page, page.get_by_role("button", name="Stop"))
    answered(page, QUESTION)
    _watched(page)
    _hurry(page)
    recorder.show(page, milliseconds=2400)

    handbook.open_at("09:45")
    recorder.file(page, handbook.name, handbook.line, new="09:45")
    recorder.show(page, milliseconds=800)
    happened = page.get_by_role("listitem").filter(has_text="The answer changed")
    expect(happened).to_be_visible()
    expect(happened).to_contain_text("Before")
    expect(happened.get_by_role("deletion").first).to_contain_text("08:30")
    expect(happened.get_by_role("insertion").first).to_contain_text("09:45")
    expect(page.locator("main [aria-live=polite]")).to_contain_text("09:45")
    recorder.file(page, handbook.name, handbook.line)
    recorder.show(page, milliseconds=3600)
    recorder.save()


def test_news_of_a_watch_shows_in_the_list_until_it_is_looked_at(
    page: Page, shared: Server, handbook: Handbook
) -> None:
    sign_in(page, shared)
    add_folder(page, handbook.folder)
    ask(page, QUESTION)
    _watched(page)
    _hurry(page)
    page.get_by_role("link", name="New chat").click()
    place = page.get_by_role("navigation").get_by_role("link", name=re.compile("^Watches"))
    expect(place).to_have_accessible_name("Watches")

    handbook.open_at("10:15")
    expect(place).to_have_accessible_name("Watches , 1 answer changed")
    place.click()
    expect(page.get_by_role("main").get_by_text("10:15")).to_be_visible()
    expect(place).to_have_accessible_name("Watches")


def test_a_watch_rests_goes_on_and_ends(page: Page, shared: Server, handbook: Handbook) -> None:
    sign_in(page, shared)
    add_folder(page, handbook.folder)
    ask(page, QUESTION)
    _watched(page)
    path = "/watches/" + page.url.rsplit("/", 1)[-1]
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text(re.compile("^paused: "))).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text(re.compile("^in step|^answering"))).to_be_visible()
    page.get_by_label(re.compile("Webhook address")).fill("http://127.0.0.1:9/told")
    page.get_by_role("button", name="Save address").click()
    expect(page.get_by_role("alert").filter(has_text=re.compile("address|network"))).to_be_visible()
    page.get_by_role("button", name="Delete watch").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete watch").click()
    expect(page.get_by_role("heading", name="Watches")).to_be_visible()
    expect(page.locator(f"a[href='{path}']")).to_have_count(0)
