"""Follows an IMAP mailbox: each message a document, gone once it is deleted or expunged.

A server that offers IDLE tells of changes; others are looked at. Nothing is changed there: folders
are opened for reading only, and no message is marked as seen.
"""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from ipaddress import ip_address
from typing import Any, TypeVar

from ponant.kit.errors import Forbidden
from ponant.kit.network import Network
from ponant.live.port import MetadataValue
from ponant.live.reading.parsing import LARGEST_FILE, too_large
from ponant.live.sources.imap_mailbox import Head, ImapConfig, Mailbox, Place, faults, port_of
from ponant.live.sources.kind import Context, Kind, Secrets, own_files_only, secret
from ponant.live.sources.port import Batch, Content, Cursor, Found, Gone, SourceFault
from ponant.live.sources.thread import OneThread

MEDIA_TYPE = "message/rfc822"

_SLICE_SECONDS = 1.0  # a close waits as long
_AT_ONCE = 200  # headers fetched in one go
_LONGEST_NAME = 255

T = TypeVar("T")


class ImapSource:
    """Messages of a mailbox, as documents."""

    def __init__(self, config: ImapConfig, password: str, network: Network) -> None:
        self.interval: float | None = config.interval
        self._config = config
        self._password = password
        self._network = network
        self._heads: dict[Place, Head] = {}  # kept over lost connections

    async def batches(self, cursor: Cursor | None) -> AsyncGenerator[Batch]:
        """Yield all messages, then what changes; a mailbox is listed, so there is no cursor."""
        del cursor
        thread = OneThread("imap")
        mailbox = Mailbox(self._config, self._password)
        try:
            await self._ask(thread, mailbox.open, await self._addresses())
            self.interval = None if mailbox.tells else self._config.interval
            known: set[Place] | None = None
            while True:
                places = await self._look(thread, mailbox)
                keys = {_key(place) for place in places}
                changes: list[Found | Gone] = [
                    Gone(key=_key(place)) for place in known or () if _key(place) not in keys
                ]
                changes += [
                    self._found(thread, mailbox, place)
                    for place in places
                    if known is None or place not in known
                ]
                yield Batch(
                    changes=changes,
                    complete=known is None or not places,
                    empty="The folders hold no messages. Check that they are the right ones.",
                    seen=len(places),
                )
                known = set(places)
                await self._wait(thread, mailbox)
        finally:
            thread.end(mailbox.close)

    async def _addresses(self) -> list[str]:
        with faults(self._config):
            found = await self._network.addresses(self._config.host, port_of(self._config))
        if self._config.tls == "none" and not self._network.everything:
            _refuse_plain(self._config.host, found)
        return found

    async def _look(self, thread: OneThread, mailbox: Mailbox) -> list[Place]:
        """Where messages are now, in the order of folders; their heads are known then."""
        places: list[Place] = []
        for folder in self._config.folders:
            places += await self._ask(thread, mailbox.places, folder)
        news = [place for place in places if place not in self._heads]
        for at in range(0, len(news), _AT_ONCE):
            self._heads |= await self._ask(thread, mailbox.heads, news[at : at + _AT_ONCE])
        # One that went between the list and its head is not there.
        there = [place for place in places if place in self._heads]
        self._heads = {place: self._heads[place] for place in there}
        return there

    async def _wait(self, thread: OneThread, mailbox: Mailbox) -> None:
        end = time.monotonic() + self._config.interval
        while (left := end - time.monotonic()) > 0:
            if await self._ask(thread, mailbox.wait, min(left, _SLICE_SECONDS)):
                return

    def _found(self, thread: OneThread, mailbox: Mailbox, place: Place) -> Found:
        head = self._heads[place]

        async def read() -> Content:
            if head.size > LARGEST_FILE:
                raise too_large("message", head.size)
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
        with faults(self._config):
            return await thread.call(function, *arguments)


def _metadata(place: Place, head: Head) -> dict[str, MetadataValue]:
    return {
        "date": head.date,
        "folder": place.folder,
        "from": ", ".join(head.senders),
        "subject": head.subject,
        "to": list(head.receivers),
    }


def _access(head: Head) -> tuple[str, ...]:
    return tuple(sorted({f"email:{address}" for address in (*head.senders, *head.receivers)}))


def _key(place: Place) -> str:
    return f"{place.folder}/{place.uid}.eml"


def _signature(place: Place) -> str:
    return f"{place.validity}/{place.uid}"


def _checked(config: ImapConfig, context: Context) -> ImapConfig:
    own_files_only(context, ca=config.ca)
    addresses = context.network.check(config.host, port_of(config))
    if config.tls == "none" and not context.network.everything:
        try:
            _refuse_plain(config.host, addresses)
        except SourceFault as e:
            raise Forbidden(e.message) from e
    return config


def _refuse_plain(host: str, addresses: Sequence[str]) -> None:
    """Refuse to send a password as it is over a network.

    Raises:
        SourceFault: one of the addresses is not this machine.
    """
    if all(ip_address(one.partition("%")[0]).is_loopback for one in addresses):
        return
    raise SourceFault(
        f"Without encryption the password would cross the network to {host} for all to read. Set "
        "tls to tls or starttls, or ask the operator to run: ponant live add"
    )


def _open(config: ImapConfig, secrets: Secrets, context: Context) -> ImapSource:
    return ImapSource(config, secret(config, secrets, "password") or "", context.network)


KIND = Kind(
    name="imap",
    config=ImapConfig,
    open=_open,
    check=_checked,
    reaches="network",
    hint='{"host": "…", "user": "…"} with the secret password: messages of a mailbox',
    secrets=("password",),
    title=lambda config: f"{config.user} at {config.host}",
)
