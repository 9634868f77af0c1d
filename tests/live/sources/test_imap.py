"""IMAP mailboxes: Debian's Dovecot on the loopback, over TLS."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from ponant.kit.network import Network
from ponant.live.sources.imap import ImapSource
from ponant.live.sources.imap_mailbox import ImapConfig
from ponant.live.sources.port import SourceFault
from tests.live.sources.following import Shelf
from tests.servers import dovecot

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def server() -> Iterator[dovecot.Dovecot]:
    with dovecot.running() as running:
        yield running


@pytest.fixture
def folder(server: dovecot.Dovecot, request: pytest.FixtureRequest) -> str:
    """A new folder of a test's own."""
    name = f"Füße/{request.node.name}".replace("/", ".")
    with server.client() as client:
        client.create_folder(name)
    return name


def _source(server: dovecot.Dovecot, folder: str, **options: object) -> ImapSource:
    config = {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "ca": server.ca,
        "folders": [folder],
    }
    password = str(options.pop("password", server.password))
    parsed = msgspec.convert(config | options, ImapConfig)
    return ImapSource(parsed, password, Network(everything=True))


async def _follow(shelf: Shelf, source: ImapSource, *subjects: str) -> None:
    """Follow until messages of these subjects are there."""
    wanted = sorted(subjects)
    await shelf.follow(
        source, until=lambda: sorted(found.name for found in shelf.found.values()) == wanted
    )


async def test_a_message_is_a_document_until_it_is_deleted(
    server: dovecot.Dovecot, folder: str
) -> None:
    server.deliver("Ebb at nöon", "The tide is out.", folder)
    server.deliver("Harbour", "It is closed.", folder)
    source, shelf = _source(server, folder), Shelf()
    await _follow(shelf, source, "Ebb at nöon", "Harbour")
    assert source.interval is None  # told by IDLE
    key = f"{folder}/1.eml"
    assert "The tide is out." in shelf.texts[key]
    assert shelf.found[key].media_type == "message/rfc822"
    assert shelf.found[key].access is None
    assert shelf.found[key].metadata == {
        "date": "2026-03-02T09:30:00+00:00",
        "folder": folder,
        "from": "grace@example.org",
        "subject": "Ebb at nöon",
        "to": ["ada@example.org"],
    }
    following = asyncio.create_task(_follow(shelf, source, "Harbour", "Lighthouse"))
    await asyncio.sleep(0.3)
    server.deliver("Lighthouse", "It shines.", folder)
    with server.client() as client:
        client.select_folder(folder)
        client.delete_messages([1])  # marked, not expunged
    await following
    with server.client() as client:
        client.select_folder(folder)
        client.delete_messages([2])
        client.expunge()
    await _follow(shelf, _source(server, folder), "Lighthouse")


async def test_nothing_is_read_twice_and_nothing_is_marked(
    server: dovecot.Dovecot, folder: str
) -> None:
    for number in range(5):
        server.deliver(f"m{number}", "text", folder)
    shelf, all_five = Shelf(), [f"m{number}" for number in range(5)]
    await shelf.follow(_source(server, folder), stop=2)
    assert len(shelf.reads) == 2
    await _follow(shelf, _source(server, folder), *all_five)
    assert len(shelf.reads) == 5
    with server.client() as client:
        client.select_folder(folder)
        assert client.search("UNSEEN") == [1, 2, 3, 4, 5]


async def test_a_folder_made_anew_is_read_anew(server: dovecot.Dovecot, folder: str) -> None:
    server.deliver("old", "text", folder)
    shelf = Shelf()
    await _follow(shelf, _source(server, folder), "old")
    await asyncio.sleep(1.1)  # Dovecot takes validities from the clock
    with server.client() as client:
        client.delete_folder(folder)
        client.create_folder(folder)
    server.deliver("new", "other", folder)
    await _follow(shelf, _source(server, folder), "new")
    assert "other" in shelf.texts[f"{folder}/1.eml"]


async def test_several_folders_are_looked_at(server: dovecot.Dovecot, folder: str) -> None:
    with server.client() as client:
        client.create_folder(f"{folder}b")
    source = _source(server, folder, folders=[folder, f"{folder}b"], interval=0.05)
    shelf = Shelf()
    server.deliver("one", "text", folder)
    await _follow(shelf, source, "one")
    assert source.interval == 0.05
    following = asyncio.create_task(_follow(shelf, source, "one", "two"))
    server.deliver("two", "text", f"{folder}b")
    await following


async def test_only_who_a_message_names_may_read_it(server: dovecot.Dovecot, folder: str) -> None:
    headers = {"Cc": "Lin@Example.org, no address", "From": '"A, B" <a@b.c>'}
    server.deliver("secret", "text", folder, **headers)
    shelf = Shelf()
    await _follow(shelf, _source(server, folder, readers="participants"), "secret")
    (found,) = shelf.found.values()
    assert found.access == ("email:a@b.c", "email:ada@example.org", "email:lin@example.org")


async def test_broken_headers_harm_nothing(server: dovecot.Dovecot, folder: str) -> None:
    broken = b"Subject: =?utf-8?q?=ff?=\r\nFrom: <<<\r\nTo: ;;,\r\nDate: soon\r\n\r\nHello."
    with server.client() as client:
        client.append(folder, broken)
        client.append(folder, b"no header at all")
        client.append(folder, b"Subject: caf\xe9 =?utf-8?q?=00=ED=A0=80?=\r\n\r\nHello.")
    shelf = Shelf()
    await shelf.follow(_source(server, folder), until=lambda: len(shelf.texts) == 3)
    for found in shelf.found.values():
        assert "\0" not in found.name
        assert (found.name + repr(found.metadata)).encode()
    assert shelf.found[f"{folder}/2.eml"].name == "(no subject)"


async def test_what_keeps_it_from_reading_comes_with_its_mend(
    server: dovecot.Dovecot, folder: str
) -> None:
    cases: dict[str, dict[str, object]] = {
        "Set the source's password anew": {"password": "wrong"},
        "Check the names of the folders": {"folders": ["Nowhere"]},
        "was not trusted.*set ca to its certificate": {"ca": ""},
        "cannot be reached.*Check the address": {"port": 1},
    }
    for mend, options in cases.items():
        with pytest.raises(SourceFault, match=mend):
            await Shelf().follow(_source(server, folder, **options))


async def test_a_password_that_changed_and_a_server_that_went_are_told() -> None:
    with dovecot.running() as server:
        server.deliver("one", "text")
        shelf = Shelf()
        await _follow(shelf, _source(server, "INBOX"), "one")
        server.set_password("another")
        with pytest.raises(SourceFault, match="Set the source's password anew"):
            await shelf.follow(_source(server, "INBOX"))
        server.set_password(server.password)
        following = asyncio.create_task(shelf.follow(_source(server, "INBOX"), until={}))
        await asyncio.sleep(0.5)
        server.stop()
        with pytest.raises(SourceFault, match="mail server"):
            await following
        server.start()
        server.deliver("two", "text")
        await _follow(shelf, _source(server, "INBOX"), "one", "two")
        assert shelf.reads == ["INBOX/1.eml", "INBOX/2.eml"]
