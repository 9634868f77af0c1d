"""Chatting: stopping, what Markdown may not do, and which source is cited."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.chatting import add_folder, ask, cited_numbers, send
from tests.browser.conftest import sign_in
from tests.server import Server, serving

pytestmark = [pytest.mark.browser, pytest.mark.model]


def test_stop_keeps_what_was_written(page: Page, home: Path) -> None:
    # On kernels without vectors a word takes long enough to be stopped after.
    with serving(home, {"PONANT_KERNELS": "portable", "PONANT_THREADS": "1"}) as slow:
        sign_in(page, slow)
        choose_no_library(page)

        send(page, "Write a long story about a ship that sails around the world.")
        article = page.get_by_role("article")
        written = article.get_by_text(re.compile(r"^\w+ \w+")).last
        expect(written).to_be_visible()
        page.get_by_role("button", name="Stop").click()

        expect(page.get_by_role("button", name="Send")).to_be_visible()
        expect(article).to_contain_text("stopped")


def test_a_remote_image_becomes_a_link(page: Page, shared: Server) -> None:
    asked_elsewhere: list[str] = []

    def watch(request: Request) -> None:
        if not request.url.startswith((shared.url, "data:", "blob:")):
            asked_elsewhere.append(request.url)

    page.on("request", watch)
    sign_in(page, shared)
    choose_no_library(page)
    page.get_by_role("button", name=re.compile("^Model:")).click()
    page.get_by_role("menuitemradio", name=re.compile("^echo")).click()

    send(
        page, "![A plan](https://pictures.test/plan.png) and <img src=https://pictures.test/x.png>"
    )

    link = page.get_by_role("link", name="Image: A plan")
    expect(link).to_have_attribute("href", "https://pictures.test/plan.png")
    expect(page.get_by_role("main").locator("img")).to_have_count(0)
    assert asked_elsewhere == []


def test_only_the_passage_that_answers_is_cited(page: Page, shared: Server, roots: Path) -> None:
    folder = roots / "only" / "Desk"
    folder.mkdir(parents=True)
    texts = {
        "about.md": (
            "# Reception desk\n\nThe reception desk is on the ground floor. "
            "The reception desk lends umbrellas when the doors open.\n"
        ),
        "hours.md": "# Hours\n\nThe reception desk opens at 08:30 on weekdays.\n",
        "bicycles.md": "# Bicycles\n\nBicycles are kept in the courtyard.\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    sign_in(page, shared)
    add_folder(page, folder)

    turn = ask(page, "When does the reception desk open?")

    conversation = page.url.rsplit("/", 1)[-1]
    history = page.request.get(f"{shared.url}/v1/conversations/{conversation}/history").json()
    (search,) = (one for one in history["entries"] if one["type"] == "tool.execution")
    given = {source["number"]: source["text"] for source in search["info"]["sources"]}
    assert "08:30" in given[2]
    assert not any("08:30" in text for number, text in given.items() if number != 2)
    assert cited_numbers(turn) == [2]
    expect(turn).to_contain_text("08:30")


def test_an_answer_goes_on_while_one_looks_elsewhere(page: Page, shared: Server) -> None:
    sign_in(page, shared)
    choose_no_library(page)
    question = "What is the capital of Italy?"
    send(page, question)
    expect(page).to_have_url(re.compile("/chat/"))

    page.get_by_role("link", name="Models").click()
    expect(page.get_by_role("heading", name="starter")).to_be_visible()
    page.get_by_role("link", name=question).click()

    expect(page.get_by_role("article", name=question)).to_contain_text("tokens/s")


def choose_no_library(page: Page) -> None:
    """Take every library out of the next chat, once the page knows which there are."""
    expect(page.get_by_role("heading", name=re.compile("^Ask"))).to_be_visible()
    page.get_by_role("button", name=re.compile("^Library:")).click()
    for item in page.get_by_role("menuitemcheckbox", checked=True).all():
        item.click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Library: none")).to_be_visible()
