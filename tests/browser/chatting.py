"""What a person does on the page, in words that tests share."""

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

_SUMMARY = re.compile(r"tokens/s|no source cited|stopped|\d sources?,")


def add_folder(page: Page, folder: Path) -> None:
    """Add a folder two steps below the root as a library, and wait until it is read."""
    name = folder.name
    page.get_by_role("link", name="Libraries").click()
    page.get_by_role("button", name="Add folder").click()
    folders = page.get_by_role("list", name="Folders")
    for step in (folder.parent.name, name):
        folders.get_by_role("button", name=step, exact=True).click()
    page.get_by_role("button", name=f"Add {name}", exact=True).click()
    expect(page.get_by_role("heading", name=f"Ask {name}")).to_be_visible()
    expect(page.get_by_text(re.compile(r"\d documents? read, in step"))).to_be_visible()


def send(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="Message").fill(text)
    page.get_by_role("button", name="Send").click()


def ask(page: Page, question: str) -> Locator:
    """Ask, wait for the whole answer, and return it with its question."""
    send(page, question)
    return answered(page, question)


def answered(page: Page, question: str) -> Locator:
    """The last turn that asked ``question``, once its answer is whole."""
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    turn = page.get_by_role("article", name=question).last
    expect(turn.get_by_text(_SUMMARY).last).to_be_visible()
    return turn


def cited_numbers(turn: Locator) -> list[int]:
    """The numbers of the sources that an answer cites, each once."""
    names = turn.get_by_role("button", name=re.compile(r"^Source \d+$")).all_inner_texts()
    return sorted({int(name) for name in names})
