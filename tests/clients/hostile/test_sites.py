"""What the pages of other sites may not do in a browser that is signed in."""

from collections.abc import Iterator

import httpx
import pytest

from tests.clients.hostile.asking import refused
from tests.server import Server

pytestmark = pytest.mark.model


@pytest.fixture
def browser(server: Server) -> Iterator[httpx.Client]:
    """Somebody who signed in by a link, having been given a cookie by an attacker before."""
    link = server.run("link").stdout.split("#token=")[1].split()[0]
    with httpx.Client(base_url=server.url, cookies={"ponant_session": "fixed"}) as browser:
        answer = browser.post("/v1/session", json={"token": link})
        assert answer.status_code == 200
        cookie = answer.headers["set-cookie"].lower()
        assert "samesite=strict" in cookie
        assert "httponly" in cookie
        value = answer.cookies["ponant_session"]
        browser.cookies.clear()
        browser.cookies.set("ponant_session", value)
        yield browser


def test_a_session_is_never_the_one_that_was_given(browser: httpx.Client, server: Server) -> None:
    assert browser.cookies["ponant_session"] != "fixed"
    assert browser.get("/v1/whoami").status_code == 200
    fixed = {"Cookie": "ponant_session=fixed"}
    refused(httpx.get(f"{server.url}/v1/whoami", headers=fixed), 401)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_another_sites_page_uses_no_session(browser: httpx.Client, origin: str) -> None:
    headers = {"Origin": origin, "Content-Type": "text/plain"}
    refused(browser.post("/v1/libraries", content='{"name": "x"}', headers=headers), 403)
    refused(browser.get("/v1/whoami", headers={"Origin": origin}), 403)


def test_a_form_of_another_site_makes_nothing(browser: httpx.Client) -> None:
    """A form can post text/plain without asking first; such a body is not read as JSON."""
    headers = {"Content-Type": "text/plain"}
    refused(browser.post("/v1/libraries", content='{"name": "x"}', headers=headers), 422)


def test_a_foreign_name_is_refused(client: httpx.Client) -> None:
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "a@127.0.0.1"):
        refused(client.get("/v1/whoami", headers={"Host": host}), 400, 421)
