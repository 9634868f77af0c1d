"""Whether everybody can use the page: names, keyboard, contrast, small screens."""

import re

import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.browser.conftest import sign_in
from tests.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.model]

_NAMED_ROLES = {
    "button",
    "checkbox",
    "combobox",
    "dialog",
    "image",
    "link",
    "navigation",
    "progressbar",
    "radio",
    "region",
    "textbox",
}
_PAIRS = [
    ("text", "paper"),
    ("quiet", "paper"),
    ("quiet", "tint"),
    ("quiet", "raised"),
    ("link", "paper"),
    ("link", "link-soft"),
    ("text", "link-soft"),
    ("text", "warm-soft"),
    ("text", "mark"),
    ("foam", "fill"),
    ("foam", "fill-strong"),
    ("ink", "warm"),
]


@pytest.mark.parametrize("path", ["/", "/libraries", "/models", "/settings", "/nowhere"])
def test_whatever_can_be_used_has_a_name(page: Page, shared: Server, path: str) -> None:
    sign_in(page, shared)
    page.goto(f"{shared.url}{path}")
    page.get_by_role("link", name="Settings").wait_for()
    page.wait_for_load_state("load")

    assert _nameless(page.context.new_cdp_session(page)) == []


def _nameless(session: CDPSession) -> list[str]:
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    return [
        node["role"]["value"]
        for node in nodes
        if not node.get("ignored")
        and node["role"]["value"] in _NAMED_ROLES
        and not node.get("name", {}).get("value", "").strip()
    ]


def test_the_names_that_others_rely_on(page: Page, shared: Server) -> None:
    sign_in(page, shared)

    expect(page.get_by_role("textbox", name="Message", exact=True)).to_be_focused()
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    for name in ("New chat", "Libraries", "Models", "Settings"):
        expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()


def test_a_menu_works_by_keyboard(page: Page, shared: Server) -> None:
    sign_in(page, shared)
    picker = page.get_by_role("button", name=re.compile("^Model: starter"))
    picker.focus()

    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitemradio", checked=True)).to_be_focused()
    page.keyboard.press("Escape")

    expect(picker).to_be_focused()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_ground(page: Page, shared: Server, theme: str) -> None:
    page.goto(shared.url)
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)

    ratios = {pair: _contrast(page, *pair) for pair in _PAIRS}

    assert {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5} == {}


def _contrast(page: Page, text: str, ground: str) -> float:
    """The ratio of WCAG 2.2 between two colours of the page."""
    one, other = sorted((_luminance(page, text), _luminance(page, ground)))
    return (other + 0.05) / (one + 0.05)


def _luminance(page: Page, colour: str) -> float:
    channels = page.evaluate(
        """name => {
            const context = document.createElement("canvas").getContext("2d");
            const probe = document.body.appendChild(document.createElement("i"));
            probe.style.color = `var(--${name})`;
            context.fillStyle = getComputedStyle(probe).color;
            probe.remove();
            context.fillRect(0, 0, 1, 1);
            return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
        }""",
        colour,
    )
    red, green, blue = (_linear(channel / 255) for channel in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def test_a_phone_shows_the_chat_and_hides_the_list(page: Page, shared: Server) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    sign_in(page, shared)
    expect(page.get_by_role("link", name="Libraries")).to_be_hidden()

    page.get_by_role("button", name="Show chats").click()
    page.get_by_role("link", name="Libraries").click()

    expect(page.get_by_role("heading", name="Libraries")).to_be_visible()
    expect(page.get_by_role("link", name="Libraries")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_who_asked_for_less_motion_gets_none(page: Page, shared: Server) -> None:
    page.emulate_media(reduced_motion="reduce")
    sign_in(page, shared)

    duration = page.get_by_role("link", name="Settings").evaluate(
        "element => parseFloat(getComputedStyle(element).transitionDuration)"
    )

    assert duration < 0.001
