"""Web pages: one, those that a sitemap or a feed names, or those that pages of a site lead to.

What robots.txt forbids is not asked for, and no more is asked for in a second than the settings
say. Pages are asked for with what the server told of them last time, so that an unchanged one
costs an answer without a body.
"""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from functools import partial
from html.parser import HTMLParser
from typing import Annotated, Any, Literal
from urllib.parse import urldefrag, urljoin, urlsplit
from urllib.robotparser import RobotFileParser

import feedparser
import httpx
import msgspec
from defusedxml import DefusedXmlException, ElementTree

from ponant.live.reading.parsing import MEDIA_TYPES, UnreadableDocument
from ponant.live.sources.files import media_type
from ponant.live.sources.kind import Context, Kind, Secrets
from ponant.live.sources.looking import Interval, checked_url, got, looked, refused
from ponant.live.sources.port import Batch, Content, Cursor, Found, SourceFault

_AGENT = "Ponant"
_DEEPEST_SITEMAP = 3
_MOST_LINKS = 2000  # of one page
_LONGEST_DELAY = 10.0  # seconds between two requests, whatever robots.txt asks for


class WebConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Pages of one web site.

    Attributes:
        url: a page, a sitemap or a feed (RSS, Atom); which of them is seen by what it holds.
        links: how many links away from the page other pages of the site may be; 0 is the page.
        max_pages: most pages to read.
        per_second: most requests in a second.
        interval: seconds between two looks.
    """

    url: str
    links: Annotated[int, msgspec.Meta(ge=0, le=10)] = 0
    max_pages: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 500
    per_second: Annotated[float, msgspec.Meta(gt=0, le=100)] = 2.0
    interval: Interval = 3600.0


class _Page(msgspec.Struct):
    """What is remembered of a page from look to look."""

    etag: str = ""
    modified: str = ""
    signature: str = ""
    media_type: str = "text/html"
    links: list[str] = []


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A page as it is now; ``data`` is None where it is as it was."""

    url: str
    page: _Page
    data: bytes | None = None
    fault: str = ""


class WebSource:
    """The pages of one site."""

    def __init__(self, config: WebConfig, context: Context) -> None:
        self.interval: float | None = config.interval
        self._config = config
        self._network = context.network
        self._host = urlsplit(config.url).netloc
        self._pages: dict[str, _Page] = {}
        self._robots = RobotFileParser()
        self._next = 0.0  # when the next request may be made

    async def batches(self, cursor: Cursor | None) -> AsyncGenerator[Batch]:
        """Yield the pages at each look."""
        self._pages = msgspec.convert((cursor or {}).get("pages", {}), dict[str, _Page])
        async with self._network.client(
            follow_redirects=True, headers={"User-Agent": _AGENT}
        ) as client:
            async for batch in looked(partial(self._look, client), self.interval or 3600.0):
                yield batch

    async def _look(self, client: httpx.AsyncClient) -> Batch:
        await self._read_robots(client)
        if not self._robots.can_fetch(_AGENT, self._config.url):
            raise SourceFault(
                f"{self._host} asks in its robots.txt not to be read at {self._config.url}. "
                "Choose another page, or ask those who run it."
            )
        first = await self._fetch(client, self._config.url)
        if first.fault:
            raise SourceFault(first.fault)
        text = first.data or b""
        kind = _kind_of(text) if first.data is not None else first.page.media_type
        if kind == "feed":
            return self._feed(text)
        if kind == "sitemap":
            return await self._crawled(client, [], await self._sitemap(client, text, 0))
        return await self._crawled(client, [first], [])

    # Pages

    async def _crawled(
        self, client: httpx.AsyncClient, fetched: list[_Fetched], urls: list[str]
    ) -> Batch:
        """Pages named by a sitemap, or reached by links, the nearest first."""
        seen = {one.url for one in fetched} | {self._config.url}
        waiting = deque((url, 0) for url in dict.fromkeys(urls))
        waiting.extend(self._linked(fetched, 1))
        while waiting and len(fetched) < self._config.max_pages:
            url, away = waiting.popleft()
            if url in seen or not self._is_ours(url):
                continue
            seen.add(url)
            page = await self._fetch(client, url)
            if page.fault or page.page.signature:
                fetched.append(page)
                waiting.extend(self._linked([page], away + 1))
        left_out = sum(url not in seen for url in {url for url, _ in waiting})
        self._pages = {one.url: one.page for one in fetched if one.page.signature}
        return self._batch(fetched, left_out)

    def _linked(self, pages: list[_Fetched], away: int) -> Iterator[tuple[str, int]]:
        if away <= self._config.links:
            for one in pages:
                yield from ((url, away) for url in one.page.links)

    def _batch(self, fetched: list[_Fetched], left_out: int) -> Batch:
        faults = [one.fault for one in fetched if one.fault]
        remarks = [f"{left_out} more pages are left out (max_pages)."] if left_out else []
        if faults:
            remarks.append(f"{len(faults)} pages could not be read: {faults[0]}")
        return Batch(
            changes=[self._found(one) for one in fetched],
            complete=True,
            cursor={"pages": msgspec.to_builtins(self._pages)},
            remark=" ".join(remarks),
            empty=f"{self._config.url} leads to no page that may be read.",
        )

    def _found(self, fetched: _Fetched) -> Found:
        page = fetched.page
        path = urlsplit(fetched.url).path.rstrip("/").rpartition("/")[2]
        return Found(
            key=fetched.url,
            signature=page.signature,
            name=path or self._host,
            read=partial(self._content, fetched),
            media_type=page.media_type,
            url=fetched.url,
        )

    async def _content(self, fetched: _Fetched) -> Content:
        if fetched.fault:
            raise UnreadableDocument(fetched.fault)
        data = fetched.data
        if data is None:  # as it was for the server, but not for us: ask without conditions
            async with self._network.client(
                follow_redirects=True, headers={"User-Agent": _AGENT}
            ) as client:
                answer, data = await got(client, fetched.url)
                if not answer.is_success:
                    raise UnreadableDocument(_refused(fetched.url, answer).message)
        return Content.of(data, fetched.page.signature)

    async def _fetch(self, client: httpx.AsyncClient, url: str) -> _Fetched:
        """A page; one without a signature is gone or of a kind that is not read."""
        known = self._pages.get(url)
        headers = {}
        # The first page is asked for whole, since it says what is followed.
        if known is not None and url != self._config.url:
            headers = {"If-None-Match": known.etag, "If-Modified-Since": known.modified}
            headers = {name: value for name, value in headers.items() if value}
        await self._turn()
        try:
            answer, data = await got(client, url, headers)
        except (SourceFault, UnreadableDocument) as e:
            return _Fetched(url, known or _Page(), None, str(e))
        if answer.status_code == httpx.codes.NOT_MODIFIED and known is not None:
            return _Fetched(url, known)
        if answer.status_code in (404, 410) and url != self._config.url:
            return _Fetched(url, _Page())
        if not answer.is_success:
            return _Fetched(url, known or _Page(), None, _refused(url, answer).message)
        if not self._is_ours(str(answer.url)):
            return _Fetched(url, _Page(), None, f"{url} leads to another site, {answer.url.host}.")
        return self._read(url, answer, data)

    def _read(self, url: str, answer: httpx.Response, data: bytes) -> _Fetched:
        kind = answer.headers.get("content-type", "text/html").partition(";")[0].strip().lower()
        if kind not in MEDIA_TYPES.values():
            kind = media_type(urlsplit(url).path) or ("text/html" if _is_markup(kind) else "")
        page = _Page(
            etag=answer.headers.get("etag", ""),
            modified=answer.headers.get("last-modified", ""),
            signature=hashlib.sha256(data).hexdigest() if kind else "",
            media_type=kind,
            links=_links(url, data) if kind == "text/html" else [],
        )
        return _Fetched(url, page, data)

    # Sitemaps and feeds

    async def _sitemap(self, client: httpx.AsyncClient, data: bytes, depth: int) -> list[str]:
        """The pages that a sitemap names, and those of the sitemaps that it names."""
        try:
            root = ElementTree.fromstring(data)
        except (ElementTree.ParseError, DefusedXmlException) as e:
            raise SourceFault(f"The sitemap {self._config.url} is damaged.") from e
        named = [(one.text or "").strip() for one in root.iter() if one.tag.endswith("}loc")]
        if not root.tag.endswith("sitemapindex") or depth >= _DEEPEST_SITEMAP:
            return [url for url in named if self._is_ours(url)]
        pages: list[str] = []
        for url in named:
            if self._is_ours(url) and len(pages) <= self._config.max_pages:
                found = await self._fetch(client, url)
                pages += await self._sitemap(client, found.data, depth + 1) if found.data else []
        return pages

    def _feed(self, data: bytes) -> Batch:
        """The entries of a feed; those that it no longer names stay, as it names the latest."""
        entries = feedparser.parse(data).entries[: self._config.max_pages]
        changes = [found for entry in entries if (found := _entry(entry)) is not None]
        if not changes:
            raise SourceFault(f"The feed {self._config.url} has no entries yet.", self.interval)
        return Batch(changes=changes, complete=False)

    # Manners

    async def _read_robots(self, client: httpx.AsyncClient) -> None:
        """What the site asks of programs; where it cannot be read, nothing may be (RFC 9309)."""
        parts = urlsplit(self._config.url)
        await self._turn()
        answer, data = await got(client, f"{parts.scheme}://{parts.netloc}/robots.txt")
        if answer.status_code >= 500:
            raise _refused(str(answer.url), answer)
        lines = data.decode("utf-8", "replace").splitlines() if answer.is_success else []
        self._robots = RobotFileParser()
        self._robots.parse(lines)

    async def _turn(self) -> None:
        """Wait until the next request may be made."""
        asked = self._robots.crawl_delay(_AGENT) if self._robots.mtime() else None
        pause = max(1 / self._config.per_second, min(float(asked or 0), _LONGEST_DELAY))
        now = time.monotonic()
        await asyncio.sleep(max(0.0, self._next - now))
        self._next = max(now, self._next) + pause

    def _is_ours(self, url: str) -> bool:
        parts = urlsplit(url)
        ours = parts.scheme in ("http", "https") and parts.netloc == self._host
        return ours and self._robots.can_fetch(_AGENT, url)


def _refused(url: str, answer: httpx.Response) -> SourceFault:
    return refused(url, answer.status_code, signs_in=False)


class _Links(HTMLParser):
    """Where the links of a page lead."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and len(self.found) < _MOST_LINKS:
            self.found += [value for name, value in attrs if name == "href" and value]


def _links(url: str, data: bytes) -> list[str]:
    parser = _Links()
    parser.feed(data.decode("utf-8", "replace"))
    absolute = (urldefrag(urljoin(url, link)).url for link in parser.found)
    return list(dict.fromkeys(one for one in absolute if one.startswith(("http://", "https://"))))


def _kind_of(data: bytes) -> Literal["feed", "sitemap", "page"]:
    head = data[:2000].lower()
    if b"<urlset" in head or b"<sitemapindex" in head:
        return "sitemap"
    return "feed" if any(mark in head for mark in (b"<rss", b"<feed", b"<rdf:rdf")) else "page"


def _is_markup(kind: str) -> bool:
    return kind in ("", "application/xhtml+xml", "application/xml", "text/xml")


def _entry(entry: Any) -> Found | None:
    """A feed's entry as a document; None where it has neither an id nor an address."""
    key = str(entry.get("id") or entry.get("link") or "")
    if not key:
        return None
    bodies = [one.get("value", "") for one in entry.get("content", ())]
    title = str(entry.get("title") or key)
    body = "\n".join(bodies) or str(entry.get("summary") or "")
    data = f"<html><body><h1>{title}</h1>\n{body}</body></html>".encode()
    content = Content.of(data, hashlib.sha256(data).hexdigest())
    link = str(entry.get("link") or "")  # feedparser takes an id for one where there is none
    published = entry.get("published") or entry.get("updated")
    return Found(
        key=key,
        signature=content.signature,
        name=title[:200],
        read=partial(_given, content),
        media_type="text/html",
        url=link if link.startswith(("http://", "https://")) else None,
        metadata={"published": str(published)} if published else {},
    )


async def _given(content: Content) -> Content:
    return content


def _checked(config: WebConfig, context: Context) -> WebConfig:
    checked_url(config.url, context)
    return config


def _open(config: WebConfig, _secrets: Secrets, context: Context) -> WebSource:
    return WebSource(config, context)


KIND = Kind(
    name="web",
    config=WebConfig,
    open=_open,
    check=_checked,
    reaches="network",
    hint='{"url": "https://…"}: a page, a sitemap or a feed',
    title=lambda config: config.url,
)
