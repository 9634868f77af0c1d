"""Which addresses may be spoken to on behalf of somebody who is not the operator.

A name is resolved once, what it resolves to is checked, and the connection goes to the address
that was checked: a second answer of the name server cannot lead elsewhere. Redirects connect anew
and so are checked too.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from ponant.kit.errors import Forbidden, SetupError

if TYPE_CHECKING:
    import httpx

_SECONDS = 20.0
# IPv6 addresses that carry an IPv4 one, which a router may deliver to (RFC 6052, 3056, 4380).
_CARRIERS = tuple(IPv6Network(one) for one in ("64:ff9b::/96", "2002::/16", "2001::/32"))


class AddressRefused(Forbidden):
    """An address that may not be spoken to."""


class Network:
    """The addresses that may be spoken to: public ones, and those that the operator allowed.

    Args:
        allowed: networks in CIDR notation.
        everything: allow every address, for whom the operator trusts.

    Raises:
        SetupError: a network is written in another way.
    """

    def __init__(self, allowed: Iterable[str] = (), *, everything: bool = False) -> None:
        try:
            self._allowed = tuple(ip_network(one.strip(), strict=False) for one in allowed)
        except ValueError as e:
            raise SetupError(
                f"PONANT_LIVE_NETWORKS does not fit: {e}. Write networks like 10.0.0.0/8."
            ) from e
        self.everything = everything

    def allows(self, address: str) -> bool:
        """Whether a numeric address may be spoken to."""
        if self.everything:
            return True
        number = ip_address(address.partition("%")[0])
        if isinstance(number, IPv6Address) and number.ipv4_mapped is not None:
            number = number.ipv4_mapped
        if any(number in network for network in self._allowed if network.version == number.version):
            return True
        return _is_public(number)

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host that may be spoken to, resolved now.

        Raises:
            AddressRefused: there is none that may be.
            OSError: the name cannot be resolved.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return self._permitted(host, [str(entry[4][0]) for entry in found])

    def check(self, host: str, port: int) -> list[str]:
        """Refuse a host that may not be spoken to; one that has no address now is let pass.

        Returns:
            Those of its addresses that may be.

        Raises:
            AddressRefused: none of its addresses may be spoken to.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return []  # it cannot be reached, which is shown when it is tried
        return self._permitted(host, [str(entry[4][0]) for entry in found])

    def client(self, **settings: Any) -> "httpx.AsyncClient":
        """An HTTP client that connects to nothing else; ``settings`` are those of httpx."""
        from ponant.kit.network_http import client  # noqa: PLC0415 - most who have a network need none

        return client(self, **settings)

    def _permitted(self, host: str, addresses: Sequence[str]) -> list[str]:
        permitted = [one for one in dict.fromkeys(addresses) if self.allows(one)]
        if not permitted:
            raise AddressRefused(
                f"{host} is an address inside this machine or its network. Ask the operator to "
                "allow it with PONANT_LIVE_NETWORKS, or to run: ponant live add"
            )
        return permitted


def _is_public(number: IPv4Address | IPv6Address) -> bool:
    if isinstance(number, IPv6Address) and any(number in carrier for carrier in _CARRIERS):
        return False
    return number.is_global and not number.is_multicast


@asynccontextmanager
async def proxy(network: Network) -> AsyncIterator[str]:
    """An HTTP proxy on loopback that connects only to what the network allows; its address.

    It is for libraries that make their own connections. One request is let through a connection;
    the name in it is resolved once, and the connection goes to the address that was checked.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                other = await _connected(network, reader, writer)
            if other is not None:
                await asyncio.gather(_pumped(reader, other[1]), _pumped(other[0], writer))
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            pass  # the library is told by the end of its connection
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"


async def _connected(
    network: Network, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    """The other end of a proxied connection, with what it is to be told first already sent."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, _, rest = head.partition("\r\n")
    method, target, version = line.split(" ")
    is_tunnel = method == "CONNECT"
    parts = urlsplit(f"//{target}" if is_tunnel else target)
    port = parts.port or (443 if is_tunnel else 80)
    try:
        addresses = await network.addresses(parts.hostname or "", port)
        other = await asyncio.open_connection(addresses[0], port)
    except (AddressRefused, OSError):
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        return None
    if is_tunnel:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    else:
        path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        kept = [
            one for one in rest.split("\r\n") if one and not one.lower().startswith("connection:")
        ]
        lines = [f"{method} {path} {version}", *kept, "Connection: close", "", ""]
        other[1].write("\r\n".join(lines).encode("latin-1"))
    return other


async def _pumped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
