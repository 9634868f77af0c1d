"""People and groups, seen and changed by administrators; and what one may no longer read."""

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chatting import add_folder, ask, cited_numbers
from tests.browser.conftest import sign_in
from tests.browser.folders import Handbook
from tests.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.model]

_HOSTILE = '<img src=x onerror="document.title=1">'


def test_people_are_added_grouped_invited_and_removed(
    page: Page, shared: Server, chromium: Browser
) -> None:
    sign_in(page, shared)
    page.get_by_role("link", name="People").click()
    page.get_by_label("Name", exact=True).fill(_HOSTILE)
    page.get_by_label("E-mail, if they have one").fill("Ada@example.org")
    page.get_by_role("button", name="Add person").click()
    members = page.get_by_role("list", name="Members", exact=True)
    row = members.get_by_role("listitem").filter(has_text=_HOSTILE)
    expect(row).to_contain_text("ada@example.org, in no group")

    page.get_by_label("Name of the group").fill("Finance / <b>")
    page.get_by_role("button", name="Add group").click()
    group = page.get_by_role("listitem", name="Finance / <b>")
    group.get_by_label("Put somebody into Finance / <b>").select_option(label=_HOSTILE)
    expect(row).to_contain_text("in Finance / <b>")
    group.get_by_role("button", name=f"Take {_HOSTILE} out of Finance / <b>").click()
    expect(row).to_contain_text("in no group")

    row.get_by_label(f"Role of {_HOSTILE}").select_option("viewer")
    row.get_by_role("button", name=f"Make a sign-in link for {_HOSTILE}").click()
    link = page.get_by_role("status").locator("code").inner_text()
    context = chromium.new_context()
    theirs = context.new_page()
    theirs.goto(link)
    theirs.get_by_role("link", name="Settings").click()
    expect(theirs.get_by_role("main")).to_contain_text("viewer of")
    expect(theirs.get_by_role("link", name="People")).to_have_count(0)
    theirs.get_by_role("link", name="Watches").click()
    expect(theirs.get_by_role("heading", name="Watches")).to_be_visible()
    expect(theirs.get_by_role("button", name="Add watch")).to_have_count(0)
    theirs.goto(f"{shared.url}/people")
    expect(theirs.get_by_text("Administrators see and change")).to_be_visible()
    assert theirs.request.get(f"{shared.url}/v1/people").status == 403

    row.get_by_role("button", name=f"Remove {_HOSTILE}").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove person").click()
    expect(row).to_have_count(0)
    assert theirs.request.get(f"{shared.url}/v1/whoami").status in (401, 403)
    context.close()
    group.get_by_role("button", name="Remove the group Finance / <b>").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove group").click()
    expect(group).to_have_count(0)


def test_the_last_administrator_stays_one(page: Page, shared: Server) -> None:
    sign_in(page, shared)
    page.get_by_role("link", name="People").click()
    row = page.get_by_role("list", name="Members", exact=True).get_by_role("listitem").first
    row.get_by_role("combobox").select_option("viewer")
    expect(page.get_by_text("A workspace needs an administrator")).to_be_visible()
    expect(row.get_by_role("combobox")).to_have_value("admin")


def test_what_one_may_no_longer_read_is_said_in_place_of_its_name(
    page: Page, shared: Server, handbook: Handbook
) -> None:
    sign_in(page, shared)
    add_folder(page, handbook.folder)
    question = "When does the reception desk open?"
    turn = ask(page, question)
    assert cited_numbers(turn)
    with shared.client() as http:
        _close_all(http)
    page.reload()

    turn = page.get_by_role("article", name=question)
    expect(turn.get_by_text("You may no longer read source").first).to_be_visible()
    turn.get_by_role("button", name="Source").first.click()
    panel = page.get_by_role("region", name="Source")
    expect(panel.get_by_text("You may no longer read this document.")).to_be_visible()
    expect(panel).not_to_contain_text("no longer here")
    expect(panel).not_to_contain_text("08:30")


def _close_all(http: httpx.Client) -> None:
    """Let nobody read what the newest library holds."""
    library = http.get("/v1/libraries").json()["data"]
    newest = max(library, key=lambda one: one["created_at"])["id"]
    for one in http.get(f"/v1/libraries/{newest}/documents").json()["data"]:
        address = f"/v1/libraries/{newest}/documents/{one['id']}/access"
        assert http.put(address, json={"access": []}).status_code == 200
