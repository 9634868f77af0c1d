"""The promise: an answer tells when what it rests on changes, and can be made anew."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

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


def test_a_deletion_marks_the_answer_and_hides_what_the_document_said(
    page: Page, shared: Server, handbook: Handbook
) -> None:
    sign_in(page, shared)
    add_folder(page, handbook.folder)
    turn = ask(page, QUESTION)
    (number,) = cited_numbers(turn)
    source = turn.get_by_role("button", name=f"Source {number}", exact=True)
    panel = page.get_by_role("region", name="Source", exact=True)
    source.click()
    expect(panel.get_by_role("mark")).to_contain_text("08:30")

    handbook.remove()
    mark = turn.get_by_text(re.compile(rf"Source {number} went away \d+ \w+ ago"))
    expect(mark).to_be_visible()
    _says_deleted(panel)

    panel.get_by_role("button", name="Close source").click()
    source.click()
    _says_deleted(panel)
    page.reload()
    turn = answered(page, QUESTION)
    turn.get_by_role("button", name=f"Source {number}", exact=True).click()
    _says_deleted(panel)


def _says_deleted(panel: Locator) -> None:
    """The panel of an open source says that its document was deleted, and not what stood there."""
    expect(panel).to_contain_text("The document was deleted")
    expect(panel).to_contain_text("what it said is no longer shown")
    expect(panel.get_by_text("As the answer read it")).to_have_count(0)
    expect(panel.get_by_role("mark")).to_have_count(0)
    expect(panel).not_to_contain_text("08:30")
    expect(panel).not_to_contain_text("reception desk")


def test_a_passage_that_is_cut_out_of_its_document_is_shown_as_it_was_read(
    page: Page, shared: Server, handbook: Handbook
) -> None:
    sign_in(page, shared)
    add_folder(page, handbook.folder)
    turn = ask(page, QUESTION)
    (number,) = cited_numbers(turn)
    turn.get_by_role("button", name=f"Source {number}", exact=True).click()
    panel = page.get_by_role("region", name="Source", exact=True)

    (handbook.folder / handbook.name).write_text("# Lending\n\nBooks are lent for four weeks.\n")

    expect(panel.get_by_text("As the answer read it")).to_be_visible()
    expect(panel).to_contain_text("08:30")
