"""HTTP over connections whose addresses were checked (see `ponant.kit.network`)."""

import ssl
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

from ponant.kit.network import Network

_SECONDS = 20.0

SocketOption = httpcore.SOCKET_OPTION


def client(network: Network, **settings: Any) -> httpx.AsyncClient:
    """An HTTP client that connects to nothing else; ``settings`` are those of httpx."""
    verify = settings.pop("verify", None) or ssl.create_default_context()
    return httpx.AsyncClient(
        transport=_Transport(network, verify),
        trust_env=False,
        timeout=settings.pop("timeout", _SECONDS),
        **settings,
    )


class _Transport(httpx.AsyncHTTPTransport):
    """HTTP over connections whose addresses were checked."""

    def __init__(self, network: Network, verify: ssl.SSLContext) -> None:
        super().__init__(verify=verify, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=verify, network_backend=_Backend(network), max_connections=10
        )


class _Backend(httpcore.AsyncNetworkBackend):
    """Connects to addresses that the network allows."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the backend's signature
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await self._network.addresses(host, port)
        except OSError as e:
            raise httpcore.ConnectError(f"{host} has no address ({e.strerror})") from e
        failure: Exception | None = None
        for address in addresses:
            try:
                return await self._inner.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as e:
                failure = e
        raise failure or httpcore.ConnectError(f"{host} has no address")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)
