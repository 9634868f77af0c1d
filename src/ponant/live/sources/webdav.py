"""A WebDAV folder, such as Nextcloud's: listed collection by collection, known by entity tags."""

from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote, unquote, urljoin, urlsplit

import httpx
import msgspec
from defusedxml import DefusedXmlException, ElementTree

from ponant.kit.errors import Forbidden
from ponant.live.reading.parsing import UnreadableDocument
from ponant.live.sources.files import media_type
from ponant.live.sources.kind import Context, Kind, Secrets, secret
from ponant.live.sources.looking import (
    Interval,
    checked_url,
    fault_of,
    got,
    is_settled,
    looked,
    refused,
)
from ponant.live.sources.port import Batch, Content, Cursor, Found, SourceFault

_MOST_ENTRIES = 200_000
_DAV = "{DAV:}"
_ASK = (
    b'<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop><resourcetype/>'
    b"<getetag/><getlastmodified/><getcontentlength/></prop></propfind>"
)


class WebdavConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A folder on a WebDAV server.

    Attributes:
        url: the folder's address.
        username: who reads it; None reads without signing in.
        password_env: variable of the server's environment that holds the password.
        interval: seconds between two looks.
    """

    url: str
    username: str | None = None
    password_env: str | None = None
    interval: Interval = 10.0


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str  # relative to the folder, as people write it
    is_folder: bool
    signature: str


class WebdavSource:
    """The files under one WebDAV collection."""

    def __init__(self, config: WebdavConfig, password: str | None, context: Context) -> None:
        self.interval: float | None = config.interval
        self._url = config.url.rstrip("/") + "/"
        self._network = context.network
        self._auth = None
        if config.username is not None:
            self._auth = httpx.BasicAuth(config.username, password or "")

    async def batches(self, cursor: Cursor | None) -> AsyncGenerator[Batch]:  # noqa: ARG002 - what is there says it all
        """Yield what the folder holds at each look."""
        async with self._network.client(auth=self._auth, follow_redirects=True) as client:
            async for batch in looked(partial(self._look, client), self.interval or 10.0):
                yield batch

    async def _look(self, client: httpx.AsyncClient) -> Batch:
        found: list[Found] = []
        others = 0
        folders, seen = [""], {""}
        while folders:
            for entry in await self._listed(client, folders.pop()):
                if entry.path in seen or entry.path.startswith("..") or _is_hidden(entry.path):
                    continue
                seen.add(entry.path)
                if entry.is_folder:
                    folders.append(entry.path)
                elif media_type(entry.path) is None:
                    others += 1
                else:
                    found.append(self._found(client, entry))
            if len(seen) > _MOST_ENTRIES:
                raise SourceFault(f"{self._url} holds too many files. Follow a folder inside it.")
        return Batch(
            changes=found,
            complete=True,
            remark=f"{others} files of other kinds are left out." if others else "",
            empty=f"{self._url} holds no files that Ponant reads. Check the address.",
        )

    async def _listed(self, client: httpx.AsyncClient, folder: str) -> list[_Entry]:
        url = self._address(folder)
        url = url if url.endswith("/") else url + "/"
        headers = {"Depth": "1", "Content-Type": "application/xml"}
        try:
            answer = await client.request("PROPFIND", url, content=_ASK, headers=headers)
        except (httpx.HTTPError, Forbidden) as e:
            raise fault_of(url, e) from e
        if answer.status_code != httpx.codes.MULTI_STATUS:
            raise refused(url, answer.status_code)
        try:
            return list(self._entries(answer))
        except (ElementTree.ParseError, DefusedXmlException, ValueError) as e:
            raise SourceFault(f"{url} does not answer as a WebDAV folder does.") from e

    def _entries(self, answer: httpx.Response) -> Iterator[_Entry]:
        """What a collection holds; places outside the folder are passed over."""
        base = urlsplit(self._url)
        for response in ElementTree.fromstring(answer.content).iter(f"{_DAV}response"):
            href = urlsplit(urljoin(self._url, response.findtext(f"{_DAV}href") or ""))
            root, path = unquote(base.path), unquote(href.path)
            if href.netloc != base.netloc or not path.startswith(root):
                continue
            is_folder = response.find(f".//{_DAV}collection") is not None
            etag = response.findtext(f".//{_DAV}getetag")
            modified = response.findtext(f".//{_DAV}getlastmodified")
            size = response.findtext(f".//{_DAV}getcontentlength")
            signature = _signature(etag, modified, size, answer.headers.get("date"))
            yield _Entry(path.removeprefix(root).strip("/"), is_folder, signature)

    def _found(self, client: httpx.AsyncClient, entry: _Entry) -> Found:
        return Found(
            key=entry.path,
            signature=entry.signature,
            name=entry.path.rpartition("/")[2],
            read=partial(self._read, client, entry.path),
            url=self._address(entry.path),
        )

    async def _read(self, client: httpx.AsyncClient, path: str) -> Content:
        url = self._address(path)
        answer, data = await got(client, url)
        if answer.status_code in (404, 410):
            raise FileNotFoundError(url)
        if answer.status_code == httpx.codes.FORBIDDEN:
            raise UnreadableDocument("The file cannot be read: the server forbids it.")
        if not answer.is_success:
            raise refused(url, answer.status_code)
        head = answer.headers
        signature = _signature(
            head.get("etag"), head.get("last-modified"), str(len(data)), head.get("date")
        )
        return Content.of(data, signature)

    def _address(self, path: str) -> str:
        return urljoin(self._url, quote(path)) if path else self._url


def _signature(etag: str | None, modified: str | None, size: str | None, now: str | None) -> str:
    """Changes with every write; "" where a write just now could hide another."""
    if not is_settled(modified, now):
        return ""
    tag = (etag or "").removeprefix("W/").strip('"')
    return f"{tag}|{modified or ''}|{size or ''}" if tag or modified else ""


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _checked(config: WebdavConfig, context: Context) -> WebdavConfig:
    checked_url(config.url, context)
    return config


def _open(config: WebdavConfig, secrets: Secrets, context: Context) -> WebdavSource:
    return WebdavSource(config, secret(config, secrets, "password"), context)


KIND = Kind(
    name="webdav",
    config=WebdavConfig,
    open=_open,
    check=_checked,
    reaches="network",
    hint='{"url": "https://…", "username": "…"} and the secret password',
    signs_in_as=("username",),
    secrets=("password",),
    title=lambda config: config.url,
)
