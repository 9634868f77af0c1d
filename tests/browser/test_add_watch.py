"""Watches of every kind are made by one form, and show what they keep: passages and rows."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from ponant.accounts import Accounts
from ponant.kit import Settings, SystemClock
from ponant.live import LiveClient
from ponant.store import Database
from tests.browser.chatting import add_folder
from tests.browser.conftest import sign_in
from tests.browser.folders import Handbook
from tests.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.model]


def _put_rows(server: Server, table: str, rows: list[dict[str, Any]]) -> None:
    """Rows of a live table, in a thread of its own since Playwright keeps this one's loop."""

    async def put() -> None:
        database = Database.at(server.home / "ponant.db")
        scope = Accounts(database, SystemClock()).administrator().scope
        database.close()
        live = LiveClient(Settings(home=server.home))
        await live.connect()
        try:
            await live.relations.put_rows(scope, table, ["item"], rows)
        finally:
            await live.close()

    with ThreadPoolExecutor(1) as aside:
        aside.submit(asyncio.run, put()).result()


def _begin(page: Page, kind: str) -> Locator:
    """The form of a new watch of a kind."""
    page.get_by_role("link", name="Watches").click()
    page.get_by_role("button", name="Add watch").click()
    dialog = page.get_by_role("dialog", name="Add watch")
    dialog.get_by_label("Kind").select_option(kind)
    return dialog


def _add(dialog: Locator) -> None:
    dialog.get_by_role("button", name="Add watch").click()


def _hurry(page: Page) -> None:
    """Ask soon after a change and as often as need be; people wait a little longer."""
    address = page.url.replace("/watches/", "/v1/watches/")
    assert page.request.patch(address, data={"settle": 0.1, "every": 0}).ok


def test_a_statement_in_sql_is_watched_and_its_rows_are_a_table(page: Page, shared: Server) -> None:
    _put_rows(shared, "stock", [{"item": "lamp", "amount": 1}, {"item": "rope", "amount": 9}])
    sign_in(page, shared)
    dialog = _begin(page, "SQL over live tables")
    expect(dialog.get_by_role("list", name="Tables")).to_contain_text("stock item, amount")
    statement = dialog.get_by_label("Statement in SQL")
    said = dialog.get_by_role("alert")
    for wrong, why in (
        ("SELEC item FROM stock", "The SQL cannot be read"),
        ("DELETE FROM stock", "Ask one SELECT"),
        ("SELECT * FROM wages_of_all", "There is no table wages_of_all"),
    ):
        statement.fill(wrong)
        _add(dialog)
        expect(said.filter(has_text=why)).to_be_visible()

    statement.fill("SELECT item, amount FROM stock\nWHERE amount < 5 ORDER BY item")
    dialog.get_by_label("Name, if it should have one").fill("What runs out")
    _add(dialog)
    expect(page.get_by_role("heading", name="What runs out")).to_be_visible()
    rows = page.get_by_role("region", name="Rows", exact=True)
    expect(rows.get_by_role("columnheader")).to_have_text(["item", "amount"])
    expect(rows.get_by_role("cell")).to_have_text(["lamp", "1"])

    _hurry(page)
    _put_rows(shared, "stock", [{"item": "lamp", "amount": 7}, {"item": "sail", "amount": 0}])
    happened = page.get_by_role("listitem").filter(has_text="The answer changed")
    expect(happened).to_contain_text("item lamp, amount 1")
    expect(happened.get_by_role("deletion")).to_have_text(["lamp", "1"])
    expect(happened.get_by_role("insertion")).to_have_text(["sail", "0"])
    expect(rows.get_by_role("cell")).to_have_text(["sail", "0"])

    page.get_by_role("link", name="Watches").click()
    row = page.get_by_role("link", name="What runs out")
    expect(row).to_contain_text("item sail, amount 0")
    expect(row).to_contain_text("SQL over live tables, in step")


def test_a_search_is_watched_and_its_passages_are_shown(
    page: Page, shared: Server, handbook: Handbook
) -> None:
    sign_in(page, shared)
    add_folder(page, handbook.folder)
    dialog = _begin(page, "Search")
    dialog.get_by_label("What to search for").fill("when the reception desk opens")
    chosen = dialog.get_by_role("checkbox", checked=True)
    expect(chosen).to_have_count(1)  # the library that chats are asked of
    identity = chosen.get_attribute("value")
    library = dialog.locator(f"input[value='{identity}']")
    library.uncheck()
    _add(dialog)
    expect(dialog.get_by_role("alert").filter(has_text="needs libraries")).to_be_visible()
    library.check()
    _add(dialog)

    expect(page.get_by_role("heading", name="when the reception desk opens")).to_be_visible()
    found = page.get_by_role("region", name="What is found now").get_by_role("listitem")
    passage = found.filter(has_text="The reception desk opens at 08:30")
    expect(passage).to_contain_text("handbook.md, ")
    _hurry(page)
    handbook.open_at("09:45")
    happened = page.get_by_role("listitem").filter(has_text="The answer changed")
    expect(happened.get_by_role("insertion").first).to_contain_text("09:45")
    expect(found.filter(has_text="The reception desk opens at 09:45")).to_be_visible()
    page.get_by_role("link", name="Watches").click()
    row = page.get_by_role("link", name="when the reception desk opens")
    expect(row).to_contain_text(re.compile(r"\d passages?: .*handbook\.md"))


def test_a_question_is_watched_without_having_been_asked(
    page: Page, shared: Server, handbook: Handbook
) -> None:
    sign_in(page, shared)
    add_folder(page, handbook.folder)
    question = "What colour has the gate to the garden?"
    dialog = _begin(page, "Question")
    dialog.get_by_label("What to ask").fill(question)
    expect(dialog.get_by_label("Model")).to_have_value("starter")
    _add(dialog)
    expect(page.get_by_role("heading", name=question)).to_be_visible()
    expect(page.get_by_role("region", name="The answer now")).to_contain_text("green")
