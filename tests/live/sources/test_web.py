"""Web sites: pages, links, sitemaps and feeds, with the manners of a guest."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from ponant.kit.network import Network
from ponant.live.knowledge import Knowledge
from ponant.live.reading.parsing import UnreadableDocument
from ponant.live.sources.kind import Context
from ponant.live.sources.port import Found
from ponant.live.sources.roots import Roots
from ponant.live.sources.web import WebConfig, WebSource
from tests.live.conftest import SCOPE, Installation, eventually, in_step
from tests.server import free_port
from tests.servers.site import Page, Site

_FEED = '<rss version="2.0"><channel><title>News</title>{items}</channel></rss>'
_ITEM = "<item><guid>{key}</guid><title>{key}</title><description>{text}</description></item>"


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site(free_port())
    found.start()
    yield found
    found.stop()


async def _follow(knowledge: Knowledge, site: Site, path: str, **settings: Any) -> str:
    library = await knowledge.create_library(SCOPE, "Site")
    config = {"url": f"{site.url}{path}", "per_second": 100, "interval": 0.2, **settings}
    await knowledge.add_source(SCOPE, library.id, "web", config, trusted=True)
    return library.id


async def _paths(knowledge: Knowledge, library_id: str) -> list[str]:
    documents = await knowledge.list_documents(SCOPE, library_id)
    return sorted(one.path.partition("//")[2].partition("/")[2] for one in documents)


def _page(text: str, *links: str) -> Page:
    return Page("\n\n".join([text, *(f'<a href="{link}">x</a>' for link in links)]).encode())


def test_links_are_followed_as_far_as_asked_and_never_off_the_site(
    installation: Installation, site: Site
) -> None:
    async def run() -> None:
        site.pages = {
            "/": _page("Start", "/one", "http://localhost:1/away", "mailto:a@b", "/secret/x"),
            "/one": _page("One", "/two#part", "/"),
            "/two": _page("Two", "/three"),
            "/three": _page("Three"),
            "/secret/x": _page("Secret"),
            "/robots.txt": Page(b"User-agent: *\nDisallow: /secret/\n", "text/plain"),
        }
        async with installation.running() as knowledge:
            library_id = await _follow(knowledge, site, "/", links=2)
            await in_step(knowledge, library_id, 3)
            assert await _paths(knowledge, library_id) == ["", "one", "two"]
            assert site.asked["/secret/x"] == site.asked["/three"] == 0
            sent = site.sent["/one"]
            await asyncio.sleep(0.6)
            assert site.sent["/one"] == sent, "an unchanged page costs no body"

    asyncio.run(run())


def test_what_robots_txt_forbids_is_shown(installation: Installation, site: Site) -> None:
    async def run() -> None:
        site.pages = {
            "/": _page("Start"),
            "/robots.txt": Page(b"User-agent: Ponant\nDisallow: /\n", "text/plain"),
        }
        async with installation.running() as knowledge:
            library_id = await _follow(knowledge, site, "/")
            library = await eventually(
                lambda: knowledge.get_library(SCOPE, library_id),
                lambda found: found.freshness.state == "error",
            )
            assert "robots.txt" in library.freshness.message
            assert site.asked["/"] == 0

    asyncio.run(run())


def test_the_entries_of_a_feed_stay_when_it_no_longer_names_them(
    installation: Installation, site: Site
) -> None:
    def tell(*entries: tuple[str, str]) -> None:
        items = "".join(_ITEM.format(key=key, text=text) for key, text in entries)
        site.pages["/feed"] = Page(_FEED.format(items=items).encode(), "application/rss+xml")

    async def run() -> None:
        tell(("first", "The boiler is cold."))
        async with installation.running() as knowledge:
            library_id = await _follow(knowledge, site, "/feed")
            await in_step(knowledge, library_id, 1)
            tell(("second", "The boiler is warm."))
            await in_step(knowledge, library_id, 2)
            tell(("second", "The boiler is hot."))

            async def texts() -> str:
                hits = (await knowledge.search(SCOPE, [library_id], "boiler")).hits
                return " ".join(hit.text for hit in hits)

            await eventually(texts, lambda text: "hot" in text and "warm" not in text)
            assert "cold" in await texts()

    asyncio.run(run())


_ATOM = """<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>Notices</title><id>urn:notices</id>
<entry><id>urn:notices:1</id><title>Boiler</title><updated>2026-03-01T09:00:00Z</updated>
<link href="https://example.org/boiler"/>
<content type="html">&lt;p&gt;The boiler is in the cellar.&lt;/p&gt;</content></entry>
<entry><id>urn:notices:2</id><title>Keys</title><updated>2026-03-02T09:00:00Z</updated>
<summary>The keys hang by the door.</summary></entry></feed>"""


def test_an_atom_feed_is_read_entry_by_entry(installation: Installation, site: Site) -> None:
    async def run() -> None:
        site.pages["/atom.xml"] = Page(_ATOM.encode(), "application/atom+xml")
        async with installation.running() as knowledge:
            library_id = await _follow(knowledge, site, "/atom.xml")
            await in_step(knowledge, library_id, 2)
            documents = await knowledge.list_documents(SCOPE, library_id)
            found = {one.path: (one.name, one.url, one.metadata) for one in documents}
            assert found == {
                "urn:notices:1": (
                    "Boiler",
                    "https://example.org/boiler",
                    {"published": "2026-03-01T09:00:00Z"},
                ),
                "urn:notices:2": ("Keys", None, {"published": "2026-03-02T09:00:00Z"}),
            }
            for query, text in (("boiler", "in the cellar"), ("keys", "by the door")):
                hits = (await knowledge.search(SCOPE, [library_id], query)).hits
                assert text in hits[0].text

    asyncio.run(run())


def _sitemap(kind: str, *urls: str) -> Page:
    inner = "sitemap" if kind == "sitemapindex" else "url"
    named = "".join(f"<{inner}><loc>{url}</loc></{inner}>" for url in urls)
    space = "http://www.sitemaps.org/schemas/sitemap/0.9"
    body = f'<?xml version="1.0" encoding="UTF-8"?><{kind} xmlns="{space}">{named}</{kind}>'
    return Page(body.encode(), "application/xml")


def test_the_sitemaps_of_an_index_are_read_and_none_off_the_site(
    installation: Installation, site: Site
) -> None:
    async def run() -> None:
        away = "http://localhost:1"
        site.pages = {
            "/sitemap.xml": _sitemap(
                "sitemapindex", f"{site.url}/a.xml", f"{site.url}/b.xml", f"{away}/c.xml"
            ),
            "/a.xml": _sitemap("urlset", f"{site.url}/one", f"{site.url}/two"),
            "/b.xml": _sitemap("urlset", f"{site.url}/three", f"{away}/four"),
            "/one": _page("One", "/unnamed"),
            "/two": _page("Two"),
            "/three": _page("Three"),
            "/unnamed": _page("Unnamed"),
        }
        async with installation.running() as knowledge:
            library_id = await _follow(knowledge, site, "/sitemap.xml")
            await in_step(knowledge, library_id, 3)
            assert await _paths(knowledge, library_id) == ["one", "three", "two"]
            site.pages["/b.xml"] = _sitemap("urlset", f"{site.url}/three", f"{site.url}/five")
            site.pages["/five"] = _page("Five")
            await in_step(knowledge, library_id, 4)
            assert site.asked["/unnamed"] == 0

    asyncio.run(run())


def test_a_page_that_fails_keeps_what_it_said(installation: Installation, site: Site) -> None:
    async def run() -> None:
        site.pages = {"/": _page("Start", "/one", "/two"), "/one": _page("The boiler.")}
        site.pages["/two"] = Page(b"x" * 10, "video/mp4")  # not read, and no fault
        async with installation.running() as knowledge:
            library_id = await _follow(knowledge, site, "/", links=1)
            await in_step(knowledge, library_id, 2)
            site.pages["/one"] = Page(b"broken", status=500)
            shown = await eventually(
                lambda: knowledge.get_library(SCOPE, library_id),
                lambda found: "could not be read" in found.freshness.message,
            )
            assert shown.documents == 2
            hits = (await knowledge.search(SCOPE, [library_id], "boiler")).hits
            assert any("boiler" in hit.text for hit in hits)
            del site.pages["/one"]
            await eventually(lambda: _paths(knowledge, library_id), lambda found: found == [""])

    asyncio.run(run())


def test_a_page_that_leads_inside_or_asks_who_one_is_is_shown_with_its_mend(
    site: Site, tmp_path: Path
) -> None:
    async def run() -> None:
        inside = site.url.replace("127.0.0.1", "127.0.0.2")
        site.pages = {
            "/": _page("Start", "/moved", "/private"),
            "/moved": Page(b"", status=302, headers={"Location": f"{inside}/moved"}),
            "/private": Page(b"Who?", status=401),
        }
        context = Context(
            home=tmp_path,
            roots=Roots(tmp_path, ()),
            network=Network(["127.0.0.1/32"]),
            trusted=False,
            aside=asyncio.to_thread,
        )
        config = WebConfig(url=f"{site.url}/", links=1, per_second=100)
        async with aclosing(WebSource(config, context).batches(None)) as batches:
            batch = await anext(batches)
        assert "2 pages could not be read" in batch.remark
        faults = {}
        for one in batch.changes:
            assert isinstance(one, Found)
            try:
                await one.read()
            except UnreadableDocument as e:
                faults[one.key.removeprefix(site.url)] = str(e)
        assert faults.keys() == {"/moved", "/private"}
        assert "127.0.0.2 is an address inside this machine" in faults["/moved"]
        assert "PONANT_LIVE_NETWORKS" in faults["/moved"]
        assert "Choose a page that is" in faults["/private"]
        assert "password" not in faults["/private"]

    asyncio.run(run())


def test_no_more_pages_than_asked_for(installation: Installation, site: Site) -> None:
    async def run() -> None:
        names = [f"/{number}" for number in range(10)]
        site.pages = {name: _page(f"Page {name}") for name in names}
        site.pages["/"] = _page("Start", *names)
        async with installation.running() as knowledge:
            library_id = await _follow(knowledge, site, "/", links=1, max_pages=4)
            library = await in_step(knowledge, library_id, 4)
            assert "more pages are left out" in library.freshness.message

    asyncio.run(run())
