"""The first two minutes: from an empty page to an answer that shows what it rests on."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chatting import answered, cited_numbers
from tests.browser.conftest import sign_in
from tests.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.model]


def test_the_sample_gives_a_cited_answer(page: Page, fresh: Server) -> None:
    sign_in(page, fresh)
    expect(page.get_by_role("button", name="Add my files")).to_be_visible()
    expect(page.get_by_role("button", name="Add folder")).to_be_visible()

    page.get_by_role("button", name="Try the sample").click()
    expect(page.get_by_text(re.compile(r"\d documents? read, in step"))).to_be_visible()
    question = page.get_by_role("list", name="Questions to begin with").get_by_role("button").first
    asked = question.inner_text()
    question.click()

    turn = answered(page, asked)
    numbers = cited_numbers(turn)
    assert numbers
    turn.get_by_role("button", name=f"Source {numbers[0]}", exact=True).first.click()
    panel = page.get_by_role("region", name="Source", exact=True)
    expect(panel.get_by_role("heading", name=f"Source {numbers[0]}")).to_be_focused()
    expect(panel.get_by_role("mark")).to_be_in_viewport()
    expect(panel.get_by_text(re.compile(r"version \d+"))).to_be_visible()
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)

    page.reload()
    again = page.get_by_role("article", name=asked)
    expect(
        again.get_by_role("button", name=f"Source {numbers[0]}", exact=True).first
    ).to_be_visible()
    expect(again.get_by_text(re.compile(r"current"))).to_be_visible()
