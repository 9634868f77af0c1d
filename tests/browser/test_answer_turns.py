"""The promise: an answer tells when what it rests on changes, and can be made anew."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chatting import (
    add_folder,
    answered,
    ask,
    cited_numbers,
    send,
)
from tests.browser.conftest import sign_in
from tests.browser.folders import Handbook
from tests.browser.recording import Recorder
from tests.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.model]

QUESTION = "When does the reception desk open?"


def test_where_no_passage_answers_nothing_is_cited(
    page: Page, shared: Server, handbook: Handbook
) -> None:
    sign_in(page, shared)
    add_folder(page, handbook.folder)

    turn = ask(page, "Who won the chess match in Lisbon?")

    assert cited_numbers(turn) == []
    expect(turn).to_contain_text("no source cited")


def test_an_edit_marks_the_answer_and_a_new_one_cites_the_new_text(
    page: Page, shared: Server, handbook: Handbook, recorder: Recorder
) -> None:
    recorder.prepare(page)
    recorder.file(page, handbook.name, handbook.line)
    sign_in(page, shared)
    add_folder(page, handbook.folder)
    recorder.show(page, milliseconds=1200)
    send(page, QUESTION)
    recorder.follow(page, page.get_by_role("button", name="Stop"))
    turn = answered(page, QUESTION)
    expect(turn).to_contain_text("08:30")
    (number,) = cited_numbers(turn)
    expect(turn).to_contain_text("1 source, current")
    recorder.show(page, milliseconds=2000)

    handbook.open_at("09:45")
    recorder.file(page, handbook.name, handbook.line, new="09:45")
    mark = turn.get_by_text(re.compile(rf"Source {number} changed \d+ \w+ ago"))
    expect(mark).to_be_visible()
    recorder.show(page, milliseconds=2400)

    again = turn.get_by_role("button", name="Answer again")
    again.click()
    expect(again).to_have_count(0)
    recorder.follow(page, page.get_by_role("button", name="Stop"))
    renewed = answered(page, QUESTION)
    expect(renewed).to_contain_text("09:45")
    expect(renewed).to_contain_text("1 source, current")
    expect(page.get_by_role("article")).to_have_count(1)
    recorder.file(page, handbook.name, handbook.line)
    recorder.show(page, milliseconds=2200)
    (number,) = cited_numbers(renewed)
    renewed.get_by_role("button", name=f"Source {number}", exact=True).click()
    panel = page.get_by_role("region", name="Source", exact=True)
    expect(panel.get_by_role("mark")).to_contain_text("09:45")
    recorder.show(page, milliseconds=2600)
    recorder.save()


def test_a_deletion_marks_the_answer(page: Page, shared: Server, handbook: Handbook) -> None:
    sign_in(page, shared)
    add_folder(page, handbook.folder)
    turn = ask(page, QUESTION)
    (number,) = cited_numbers(turn)

    handbook.remove()
    mark = turn.get_by_text(re.compile(rf"Source {number} went away \d+ \w+ ago"))
    expect(mark).to_be_visible()

    turn.get_by_role("button", name=f"Source {number}", exact=True).click()
    panel = page.get_by_role("region", name="Source", exact=True)
    expect(panel.get_by_text("As the answer read it")).to_be_visible()
    expect(panel).to_contain_text("08:30")
