"""Follows an IMAP mailbox: each message a document, gone once it is deleted or expunged.

A server that offers IDLE tells of changes; others are looked at. Nothing is changed there: folders
are opened for reading only, and no message is marked as seen.
"""

import email
import email.policy
import email.utils
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from typing import Any, Literal, TypeVar

import msgspec
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

from ponant.live.port import MetadataValue
from ponant.live.reading.parsing import LARGEST_FILE, UnreadableDocument
from ponant.live.sources import records
from ponant.live.sources.port import Batch, Content, Cursor, Found, Gone, SourceFault
from ponant.live.sources.thread import OneThread

MEDIA_TYPE = "message/rfc822"

_SECONDS = 30.0  # for an answer
_SLICE_SECONDS = 1.0  # a close waits as long
_AT_ONCE = 200  # headers fetched in one go
_HEADERS = "BODY.PEEK[HEADER.FIELDS (SUBJECT FROM TO CC DATE)]"
_HEADERS_KEY = b"BODY[HEADER.FIELDS (SUBJECT FROM TO CC DATE)]"
_LONGEST_NAME = 255

T = TypeVar("T")


class ImapConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mailbox. The secret is ``password``: for OAuth a token instead of it.

    Attributes:
        folders: those that are followed.
        tls: from the first byte, after a greeting, or not at all.
        port: None for the usual one.
        sign_in: with a password, or with a token of OAuth 2 (XOAUTH2).
        readers: who may read a message: whoever may read the library, or only the people that it
            names as sender or recipients.
        interval: seconds between two looks; a folder whose server offers IDLE is told at once.
        ca: a file of certificates to trust instead of the system's.
    """

    host: str
    user: str
    folders: tuple[str, ...] = ("INBOX",)
    tls: Literal["tls", "starttls", "none"] = "tls"
    port: int | None = None
    sign_in: Literal["password", "oauth"] = "password"
    readers: Literal["library", "participants"] = "library"
    interval: float = 60.0
    ca: str = ""

    def __post_init__(self) -> None:
        if not self.folders:
            raise ValueError("folders needs at least one folder, such as INBOX.")


@dataclass(frozen=True, slots=True)
class _Place:
    """A message's place; a folder that is made anew has another validity."""

    folder: str
    validity: int
    uid: int


@dataclass(frozen=True, slots=True)
class _Head:
    """What is told of a message before it is read."""

    size: int
    subject: str
    date: str
    senders: tuple[str, ...]
    receivers: tuple[str, ...]


class ImapSource:
    """Messages of a mailbox, as documents."""

    def __init__(self, config: ImapConfig, password: str) -> None:
        self.interval: float | None = config.interval
        self._config = config
        self._password = password
        self._heads: dict[_Place, _Head] = {}  # kept over lost connections

    async def batches(self, cursor: Cursor | None) -> AsyncGenerator[Batch]:
        """Yield all messages, then what changes; a mailbox is listed, so there is no cursor."""
        del cursor
        thread = OneThread("imap")
        mailbox = _Mailbox(self._config, self._password)
        try:
            await self._ask(thread, mailbox.open)
            self.interval = None if mailbox.tells else self._config.interval
            known: set[_Place] | None = None
            while True:
                places = await self._look(thread, mailbox)
                changes: list[Found | Gone] = [
                    self._found(thread, mailbox, place)
                    for place in places
                    if known is None or place not in known
                ]
                keys = {_key(place) for place in places}
                changes += [Gone(key=_key(p)) for p in known or () if _key(p) not in keys]
                yield Batch(changes=changes, complete=known is None)
                known = set(places)
                await self._wait(thread, mailbox)
        finally:
            thread.end(mailbox.close)

    async def _look(self, thread: OneThread, mailbox: "_Mailbox") -> list[_Place]:
        """Where messages are now, in the order of folders; their heads are known then."""
        places: list[_Place] = []
        for folder in self._config.folders:
            places += await self._ask(thread, mailbox.places, folder)
        news = [place for place in places if place not in self._heads]
        for at in range(0, len(news), _AT_ONCE):
            self._heads |= await self._ask(thread, mailbox.heads, news[at : at + _AT_ONCE])
        # One that went between the list and its head is not there.
        there = [place for place in places if place in self._heads]
        self._heads = {place: self._heads[place] for place in there}
        return there

    async def _wait(self, thread: OneThread, mailbox: "_Mailbox") -> None:
        end = time.monotonic() + self._config.interval
        while (left := end - time.monotonic()) > 0:
            if await self._ask(thread, mailbox.wait, min(left, _SLICE_SECONDS)):
                return

    def _found(self, thread: OneThread, mailbox: "_Mailbox", place: _Place) -> Found:
        head = self._heads[place]

        async def read() -> Content:
            if head.size > LARGEST_FILE:
                raise UnreadableDocument(
                    f"The message has {head.size // 2**20} MiB; the most is "
                    f"{LARGEST_FILE // 2**20}."
                )
            data = await self._ask(thread, mailbox.message, place)
            if data is None:
                raise FileNotFoundError(_key(place))
            return Content.of(data, _signature(place))

        return Found(
            key=_key(place),
            signature=_signature(place),
            name=head.subject[:_LONGEST_NAME],
            read=read,
            media_type=MEDIA_TYPE,
            metadata=_metadata(place, head),
            access=_access(head) if self._config.readers == "participants" else None,
        )

    async def _ask(self, thread: OneThread, function: Callable[..., T], *arguments: Any) -> T:
        with _faults(self._config):
            return await thread.call(function, *arguments)


class _Mailbox:
    """A connection; every call blocks.

    Attributes:
        tells: whether the server tells of changes.
    """

    def __init__(self, config: ImapConfig, password: str) -> None:
        self._config = config
        self._password = password
        self._client: IMAPClient | None = None
        self._selected = ("", 0)
        self._idles = False
        self.tells = False

    def open(self) -> None:
        config = self._config
        context = ssl.create_default_context(cafile=config.ca or None)
        client = IMAPClient(
            config.host,
            port=config.port,
            ssl=config.tls == "tls",
            ssl_context=context if config.tls == "tls" else None,
            timeout=_SECONDS,
        )
        self._client = client
        if config.tls == "starttls":
            client.starttls(context)
        if config.sign_in == "oauth":
            client.oauth2_login(config.user, self._password)
        else:
            client.login(config.user, self._password)
        # Only one folder can be told of at a time.
        self.tells = client.has_capability("IDLE") and len(config.folders) == 1

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            try:
                self._wake(client)
                client.logout()
            except (OSError, IMAPClientError):
                return  # lost already

    def places(self, folder: str) -> list[_Place]:
        """The messages of a folder that are not marked as deleted."""
        client = self._ready()
        status = client.select_folder(folder, readonly=True)
        self._selected = (folder, int(status[b"UIDVALIDITY"]))
        return [_Place(folder, self._selected[1], uid) for uid in client.search("UNDELETED")]

    def heads(self, places: Sequence[_Place]) -> dict[_Place, _Head]:
        """What is told of messages, of those that are still there."""
        heads: dict[_Place, _Head] = {}
        for folder in dict.fromkeys(place.folder for place in places):
            of_folder = {place.uid: place for place in places if place.folder == folder}
            client = self._select(folder)
            told = client.fetch(list(of_folder), [_HEADERS, "RFC822.SIZE", "INTERNALDATE"])
            heads |= {of_folder[uid]: _head(data) for uid, data in told.items() if uid in of_folder}
        return heads

    def message(self, place: _Place) -> bytes | None:
        """A message, None where it is gone."""
        client = self._select(place.folder)
        if self._selected != (place.folder, place.validity):
            return None
        data = client.fetch([place.uid], ["BODY.PEEK[]"]).get(place.uid, {}).get(b"BODY[]")
        return bytes(data) if data is not None else None

    def wait(self, seconds: float) -> bool:
        """Wait for word of a change; False where none came."""
        if not self.tells:
            time.sleep(seconds)
            return False
        client = self._client
        if client is None:
            raise OSError("the connection is closed")
        if not self._idles:
            client.idle()
            self._idles = True
        if not any(_is_news(response) for response in client.idle_check(timeout=seconds)):
            return False
        self._wake(client)
        return True

    def _select(self, folder: str) -> IMAPClient:
        client = self._ready()
        if self._selected[0] != folder:
            status = client.select_folder(folder, readonly=True)
            self._selected = (folder, int(status[b"UIDVALIDITY"]))
        return client

    def _ready(self) -> IMAPClient:
        if self._client is None:
            raise OSError("the connection is closed")
        self._wake(self._client)
        return self._client

    def _wake(self, client: IMAPClient) -> None:
        if self._idles:
            self._idles = False
            client.idle_done()


@contextmanager
def _faults(config: ImapConfig) -> Iterator[None]:
    """Turns what the server or the network says into what people can do about it."""
    place = f"{config.host}:{config.port or (993 if config.tls == 'tls' else 143)}"
    try:
        yield
    except LoginError as e:
        raise SourceFault(
            f"The mail server at {place} refused the user {config.user} or the password. Set the "
            "source's password anew."
        ) from e
    except ssl.SSLError as e:
        raise SourceFault(
            f"The mail server at {place} was not trusted: {records.shortened(str(e))}. Check its "
            "name, set ca to its certificate, or check `tls`."
        ) from e
    except IMAPClientError as e:
        raise SourceFault(
            f"The mail server at {place} answered: {records.shortened(str(e))}. Check the names of "
            "the folders."
        ) from e
    except OSError as e:
        raise SourceFault(
            f"The mail server at {place} cannot be reached: {records.shortened(str(e))}. Check the "
            "address and `tls`, and that it runs. What was read before answers."
        ) from e


def _is_news(response: tuple[Any, ...]) -> bool:
    """Whether a message came, went or was marked; servers also just say that they are there."""
    return len(response) > 1 and response[1] in (b"EXISTS", b"EXPUNGE", b"FETCH", b"VANISHED")


def _head(data: dict[bytes, Any]) -> _Head:
    headers = email.message_from_bytes(data.get(_HEADERS_KEY) or b"", policy=email.policy.default)
    received = data.get(b"INTERNALDATE")
    return _Head(
        size=int(data.get(b"RFC822.SIZE") or 0),
        subject=" ".join(_header(headers, "subject").split()) or "(no subject)",
        date=_date(_header(headers, "date"), received),
        senders=_addresses(headers, "from"),
        receivers=_addresses(headers, "to", "cc"),
    )


def _header(message: EmailMessage, name: str) -> str:
    """A header; "" where it is missing or too broken to be read."""
    try:
        return str(message.get(name, ""))
    except (ValueError, IndexError, AttributeError, TypeError):
        return ""


def _addresses(message: EmailMessage, *names: str) -> tuple[str, ...]:
    pairs = email.utils.getaddresses([_header(message, name) for name in names])
    return tuple(dict.fromkeys(address.lower() for _, address in pairs if "@" in address))


def _date(header: str, received: datetime | None) -> str:
    try:
        return email.utils.parsedate_to_datetime(header).isoformat()
    except (ValueError, TypeError):
        return received.isoformat() if received is not None else ""


def _metadata(place: _Place, head: _Head) -> dict[str, MetadataValue]:
    return {
        "date": head.date,
        "folder": place.folder,
        "from": ", ".join(head.senders),
        "subject": head.subject,
        "to": list(head.receivers),
    }


def _access(head: _Head) -> tuple[str, ...]:
    return tuple(sorted({f"email:{address}" for address in (*head.senders, *head.receivers)}))


def _key(place: _Place) -> str:
    return f"{place.folder}/{place.uid}.eml"


def _signature(place: _Place) -> str:
    return f"{place.validity}/{place.uid}"
