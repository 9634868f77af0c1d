"""IMAP with STARTTLS, at Debian's Dovecot: no password crosses the network unencrypted."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ponant.kit.errors import Forbidden
from ponant.kit.network import Network
from ponant.live.sources.imap import KIND, ImapSource
from ponant.live.sources.imap_mailbox import ImapConfig
from ponant.live.sources.kinds import Context
from ponant.live.sources.port import SourceFault
from ponant.live.sources.roots import Roots
from tests.live.sources.following import Shelf
from tests.servers import dovecot
from tests.servers.relay import Relay, relaying

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def server() -> Iterator[dovecot.Dovecot]:
    with dovecot.running() as running:
        running.deliver("Ebb", "The tide is out.")
        yield running


@pytest.fixture
def relay(server: dovecot.Dovecot) -> Iterator[Relay]:
    with relaying(server.plain_port) as relay:
        yield relay


def _source(server: dovecot.Dovecot, relay: Relay, **options: object) -> ImapSource:
    config = {
        "host": server.host,
        "port": relay.port,
        "user": server.user,
        "tls": "starttls",
        "ca": server.ca,
    }
    parsed = msgspec.convert(config | options, ImapConfig)
    return ImapSource(parsed, server.password, Network(everything=True))


async def test_a_mailbox_is_read_and_who_listens_hears_no_password(
    server: dovecot.Dovecot, relay: Relay
) -> None:
    shelf = Shelf()
    await shelf.follow(_source(server, relay), until=lambda: len(shelf.texts) == 1)
    assert "The tide is out." in shelf.texts["INBOX/1.eml"]
    assert b"STARTTLS" in relay.heard
    assert server.password.encode() not in relay.heard
    assert b"LOGIN" not in relay.heard


@pytest.mark.parametrize("wrong", ["another", "nobody's", "another name"])
async def test_a_wrong_certificate_is_told_no_password(
    server: dovecot.Dovecot, relay: Relay, tmp_path: Path, wrong: str
) -> None:
    other = tmp_path / "other.pem"
    dovecot.certificate(other, tmp_path / "key.pem")
    options: dict[str, object] = {
        "another": {"ca": str(other)},
        "nobody's": {"ca": ""},
        "another name": {"host": "localhost"},
    }[wrong]
    with pytest.raises(SourceFault, match=r"was not trusted.*set ca to its certificate"):
        await Shelf().follow(_source(server, relay, **options))
    assert b"STARTTLS" in relay.heard
    assert server.password.encode() not in relay.heard


async def test_who_takes_starttls_out_of_the_greeting_is_told_no_password(
    server: dovecot.Dovecot, relay: Relay
) -> None:
    relay.replies = {b"STARTTLS": b"X-NOTHING"}
    with pytest.raises(SourceFault, match="does not offer STARTTLS, so the password was not sent"):
        await Shelf().follow(_source(server, relay))
    assert server.password.encode() not in relay.heard


async def test_a_password_crosses_no_network_unencrypted(
    server: dovecot.Dovecot, relay: Relay, tmp_path: Path
) -> None:
    allowed = Network(["127.0.0.0/8", "192.0.2.0/24"])
    context = Context(
        home=tmp_path,
        roots=Roots(tmp_path, ()),
        network=allowed,
        trusted=False,
        aside=asyncio.to_thread,
    )
    plain = {"host": "192.0.2.7", "user": "ada", "tls": "none"}
    with pytest.raises(Forbidden, match="Set tls to tls or starttls"):
        KIND.checked(plain, {}, context)
    # One that was declared before: it is shown at the source.
    source = ImapSource(msgspec.convert(plain, ImapConfig), server.password, allowed)
    with pytest.raises(SourceFault, match=r"cross the network to 192\.0\.2\.7"):
        await Shelf().follow(source)
    # This machine hears nothing that it does not know.
    own = {"host": server.host, "port": relay.port, "user": server.user, "tls": "none"}
    checked = KIND.checked(own, {}, context)
    shelf = Shelf()
    await shelf.follow(
        KIND.open(checked, {"password": server.password}, context),
        until=lambda: len(shelf.texts) == 1,
    )
