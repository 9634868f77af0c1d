"""What may be spoken to on behalf of others, whatever names and redirects say."""

import asyncio
import http.server
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from ponant.kit.errors import SetupError
from ponant.kit.network import AddressRefused, Network, proxy


@pytest.fixture
def inner() -> Iterator[str]:
    """A server on loopback: /away leads back to it, everything else is its secret."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            away = self.path == "/away"
            self.send_response(302 if away else 200)
            if away:
                self.send_header("Location", f"http://localhost:{self.server.server_port}/secret")
            self.send_header("Content-Length", "0" if away else "6")
            self.end_headers()
            if not away:
                self.wfile.write(b"secret")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001::1",
    ],
)
def test_inner_addresses_are_refused(address: str) -> None:
    assert not Network().allows(address)
    assert Network(everything=True).allows(address)


@pytest.mark.parametrize("address", ["9.9.9.9", "2620:fe::fe", "::ffff:9.9.9.9"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert Network().allows(address)


def test_the_operator_allows_networks() -> None:
    network = Network(["10.0.0.0/8", "fd00::/8"])
    assert network.allows("10.1.2.3")
    assert network.allows("::ffff:10.1.2.3")
    assert network.allows("fd00::1")
    assert not network.allows("127.0.0.1")
    with pytest.raises(SetupError, match="PONANT_LIVE_NETWORKS"):
        Network(["everywhere"])


def test_a_name_that_leads_inside_is_refused() -> None:
    with pytest.raises(AddressRefused):
        Network().check("localhost", 80)
    with pytest.raises(AddressRefused):
        asyncio.run(Network().addresses("localhost", 80))


def test_a_client_does_not_connect_inside_and_follows_no_redirect_there(inner: str) -> None:
    async def run() -> None:
        async with Network().client(follow_redirects=True) as client:
            with pytest.raises(AddressRefused):
                await client.get(inner)
        # 127.0.0.1 is allowed, and what it redirects to is another name for what is not.
        allowed = Network(["127.0.0.1/32"])
        async with allowed.client(follow_redirects=True) as client:
            assert (await client.get(f"{inner}/x")).text == "secret"

    asyncio.run(run())


def test_a_redirect_is_checked_again(inner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(inner.rpartition(":")[2])
    resolve = socket.getaddrinfo

    def fake(host: str, *rest: object, **named: object) -> object:
        # "localhost" is what it always is, and "outside" a public name for the test's server.
        if host == "localhost":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.9", port))]
        return resolve("127.0.0.1" if host == "outside" else host, *rest, **named)  # type: ignore[arg-type]

    async def run() -> None:
        monkeypatch.setattr(socket, "getaddrinfo", fake)
        async with Network(["127.0.0.1/32"]).client(follow_redirects=True) as client:
            with pytest.raises(AddressRefused):
                await client.get(f"http://outside:{port}/away")

    asyncio.run(run())


def test_a_name_is_resolved_once_for_a_connection(
    inner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that answers otherwise the second time leads nowhere else."""
    port = int(inner.rpartition(":")[2])
    answers = iter(["127.0.0.1"])

    def fake(host: str, *_: object, **__: object) -> object:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    async def run() -> None:
        async with Network(["127.0.0.1/32"]).client() as client:
            monkeypatch.setattr("asyncio.base_events.socket.getaddrinfo", fake)
            answer = await client.get(f"http://rebinding.example:{port}/")
            assert answer.text == "secret"

    asyncio.run(run())


def test_the_proxy_lets_through_what_is_allowed_alone(inner: str) -> None:
    async def run() -> None:
        for network, status in ((Network(), 403), (Network(["127.0.0.1/32"]), 200)):
            async with proxy(network) as address, httpx.AsyncClient(proxy=address) as client:
                assert (await client.get(f"{inner}/x")).status_code == status

    asyncio.run(run())


def test_the_proxy_tunnels_to_what_is_allowed_alone(inner: str) -> None:
    async def tunnelled(network: Network) -> bytes:
        async with proxy(network) as address:
            host, port = address.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"CONNECT {inner.removeprefix('http://')} HTTP/1.1\r\n\r\n".encode())
            line = await reader.readline()
            writer.close()
            return line

    assert b"403" in asyncio.run(tunnelled(Network()))
    assert b"200" in asyncio.run(tunnelled(Network(["127.0.0.1/32"])))
