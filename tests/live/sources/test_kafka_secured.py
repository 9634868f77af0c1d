"""Kafka over TLS with a user: whom the password is told, and what is said where it is not."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ponant.kit.errors import BadRequest, Forbidden
from ponant.kit.network import Network
from ponant.live.sources.kafka import KIND, KafkaSource
from ponant.live.sources.kafka_topic import KafkaConfig
from ponant.live.sources.kinds import Context
from ponant.live.sources.port import SourceFault
from ponant.live.sources.roots import Roots
from tests.live.sources.following import Shelf
from tests.servers.dovecot import certificate
from tests.servers.kafka_gate import Gate, gate
from tests.servers.relay import Relay, relaying

pytestmark = pytest.mark.anyio

_PASSWORD = "ebb-and-flow"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Gate]:
    certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    with gate(tmp_path / "cert.pem", tmp_path / "key.pem", "ada", _PASSWORD) as opened:
        yield opened


@pytest.fixture
def relay(door: Gate) -> Iterator[Relay]:
    with relaying(door.port) as relay:
        yield relay


async def _says(relay: Relay, tmp_path: Path, password: str = _PASSWORD, **options: object) -> str:
    """What keeps the source from being read."""
    config = {
        "servers": f"127.0.0.1:{relay.port}",
        "topic": "news",
        "user": "ada",
        "mechanism": "PLAIN",
        "ca": str(tmp_path / "cert.pem"),
    }
    source = KafkaSource(msgspec.convert(config | options, KafkaConfig), password)
    with pytest.raises(SourceFault) as told:
        await Shelf().follow(source)
    assert password not in told.value.message
    return told.value.message


async def test_a_user_signs_in_and_who_listens_hears_no_password(
    door: Gate, relay: Relay, tmp_path: Path
) -> None:
    assert "Kafka has no topic news" in await _says(relay, tmp_path)
    assert door.topics
    assert set(door.mechanisms) == {"PLAIN"}
    assert set(door.tokens) == {f"\0ada\0{_PASSWORD}".encode()}
    assert relay.heard[0] == 0x16  # of a TLS handshake
    assert _PASSWORD.encode() not in relay.heard


async def test_a_wrong_password_is_told_with_its_mend(
    door: Gate, relay: Relay, tmp_path: Path
) -> None:
    message = await _says(relay, tmp_path, password="wrong-one")
    assert "Set the source's password anew" in message
    assert door.topics == 0


@pytest.mark.parametrize("wrong", ["nobody's", "another name"])
async def test_a_wrong_certificate_is_told_no_password(
    door: Gate, relay: Relay, tmp_path: Path, wrong: str
) -> None:
    options: dict[str, object] = {"ca": ""}
    if wrong == "another name":
        options = {"servers": f"localhost:{relay.port}"}
    message = await _says(relay, tmp_path, **options)
    assert "was not trusted" in message
    assert "set ca to its certificate" in message
    assert door.tokens == []


async def test_a_mechanism_that_is_not_offered_is_told(
    door: Gate, relay: Relay, tmp_path: Path
) -> None:
    message = await _says(relay, tmp_path, mechanism="SCRAM-SHA-512")
    assert "Set another `mechanism`" in message
    assert door.tokens == []


async def test_over_http_no_setting_reads_this_machine_or_tells_a_password(tmp_path: Path) -> None:
    context = Context(
        home=tmp_path,
        roots=Roots(tmp_path, ()),
        network=Network(),
        trusted=False,
        aside=asyncio.to_thread,
        brokers=frozenset({"broker:9092"}),
    )
    config = {"servers": "broker:9092", "topic": "news", "user": "ada"}
    KIND.checked(config, {"password": _PASSWORD}, context)
    for setting in ("ssl.ca.location", "plugin.library.paths", "sasl.oauthbearer.config"):
        with pytest.raises(BadRequest, match="unknown field"):
            KIND.checked(config | {setting: "/etc/passwd"}, {}, context)
    for name in ("ca", "password_env"):
        with pytest.raises(Forbidden, match="Only the command line"):
            KIND.checked(config | {name: "PATH"}, {}, context)
    plain = config | {"security": "plaintext", "mechanism": "PLAIN"}
    with pytest.raises(Forbidden, match="for all to read"):
        KIND.checked(plain, {}, context)
