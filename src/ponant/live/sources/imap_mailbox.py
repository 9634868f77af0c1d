"""An IMAP connection: where messages are, what is told of them, and their bytes. Calls block."""

import email
import email.policy
import email.utils
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from typing import Any, Literal

import msgspec
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

from ponant.live.sources import records
from ponant.live.sources.port import SignInRefused, SourceFault

_SECONDS = 30.0  # for an answer
_HEADERS = "BODY.PEEK[HEADER.FIELDS (SUBJECT FROM TO CC DATE)]"
_HEADERS_KEY = b"BODY[HEADER.FIELDS (SUBJECT FROM TO CC DATE)]"


class ImapConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mailbox. The secret is ``password``: for OAuth a token instead of it.

    Attributes:
        folders: those that are followed.
        tls: from the first byte, after a greeting, or not at all, which is for servers on this
            machine and for whom the system user trusts.
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
    password_env: str | None = None

    def __post_init__(self) -> None:
        if not self.folders:
            raise ValueError("folders needs at least one folder, such as INBOX.")


@dataclass(frozen=True, slots=True)
class Place:
    """A message's place; a folder that is made anew has another validity."""

    folder: str
    validity: int
    uid: int


@dataclass(frozen=True, slots=True)
class Head:
    """What is told of a message before it is read."""

    size: int
    subject: str
    date: str
    senders: tuple[str, ...]
    receivers: tuple[str, ...]


class _Named(ssl.SSLContext):
    """Checks a certificate for the name that was asked for, not for the address it led to."""

    name = ""

    @classmethod
    def of(cls, name: str, ca: str) -> "_Named":
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.name = name
        if ca:
            context.load_verify_locations(ca)
        else:
            context.load_default_certs()
        return context

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        return super().wrap_socket(sock, *args, **(kwargs | {"server_hostname": self.name}))


class Mailbox:
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

    def open(self, addresses: Sequence[str]) -> None:
        """Connect to the first of these addresses that answers, and sign in."""
        config = self._config
        context = _Named.of(config.host, config.ca)
        client = self._client = self._connected(addresses, context)
        if config.tls == "starttls":
            if not client.has_capability("STARTTLS"):  # or somebody between us took it away
                raise SourceFault(
                    f"The mail server at {config.host}:{port_of(config)} does not offer STARTTLS, "
                    "so the password was not sent. Set tls to tls with its port, 993 mostly, or "
                    "have it switched on there."
                )
            client.starttls(context)
        if config.sign_in == "oauth":
            client.oauth2_login(config.user, self._password)
        else:
            client.login(config.user, self._password)
        # Only one folder can be told of at a time.
        self.tells = client.has_capability("IDLE") and len(config.folders) == 1

    def _connected(self, addresses: Sequence[str], context: ssl.SSLContext) -> IMAPClient:
        config, failure = self._config, OSError("it has no address")
        encrypted = config.tls == "tls"
        for address in addresses:
            try:
                return IMAPClient(
                    address,
                    port=port_of(config),
                    ssl=encrypted,
                    ssl_context=context if encrypted else None,
                    timeout=_SECONDS,
                )
            except ssl.SSLError:
                raise
            except OSError as e:
                failure = e
        raise failure

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            try:
                self._wake(client)
                client.logout()
            except (OSError, IMAPClientError):
                return  # lost already

    def places(self, folder: str) -> list[Place]:
        """The messages of a folder that are not marked as deleted."""
        client = self._ready()
        status = client.select_folder(folder, readonly=True)
        self._selected = (folder, int(status[b"UIDVALIDITY"]))
        return [Place(folder, self._selected[1], uid) for uid in client.search("UNDELETED")]

    def heads(self, places: Sequence[Place]) -> dict[Place, Head]:
        """What is told of messages, of those that are still there."""
        heads: dict[Place, Head] = {}
        for folder in dict.fromkeys(place.folder for place in places):
            of_folder = {place.uid: place for place in places if place.folder == folder}
            client = self._select(folder)
            told = client.fetch(list(of_folder), [_HEADERS, "RFC822.SIZE", "INTERNALDATE"])
            heads |= {of_folder[uid]: _head(data) for uid, data in told.items() if uid in of_folder}
        return heads

    def message(self, place: Place) -> bytes | None:
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
        begun = time.monotonic()
        responses = client.idle_check(timeout=seconds)
        if not responses and time.monotonic() - begun < seconds / 2:
            raise OSError("the connection was closed")  # of which idle_check says nothing
        if not any(_is_news(response) for response in responses):
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
def faults(config: ImapConfig) -> Iterator[None]:
    """Turns what the server or the network says into what people can do about it."""
    place = f"{config.host}:{port_of(config)}"
    try:
        yield
    except LoginError as e:
        raise SignInRefused(
            f"The mail server at {place} refused the user {config.user} or the password. Set the "
            "source's password anew (ponant live sign-in)."
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


def port_of(config: ImapConfig) -> int:
    return config.port or (993 if config.tls == "tls" else 143)


def _is_news(response: tuple[Any, ...]) -> bool:
    """Whether a message came, went or was marked; servers also just say that they are there."""
    return len(response) > 1 and response[1] in (b"EXISTS", b"EXPUNGE", b"FETCH", b"VANISHED")


def _head(data: dict[bytes, Any]) -> Head:
    headers = email.message_from_bytes(data.get(_HEADERS_KEY) or b"", policy=email.policy.default)
    received = data.get(b"INTERNALDATE")
    return Head(
        size=int(data.get(b"RFC822.SIZE") or 0),
        subject=" ".join(_header(headers, "subject").split()) or "(no subject)",
        date=_date(_header(headers, "date"), received),
        senders=_addresses(headers, "from"),
        receivers=_addresses(headers, "to", "cc"),
    )


def _header(message: EmailMessage, name: str) -> str:
    """A header; "" where it is missing or too broken to be read."""
    try:
        return str(message.get(name, "")).replace("\0", "")
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
