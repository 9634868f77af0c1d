"""Whether an address is this machine's own."""

import ipaddress
import socket
from typing import Literal

import psutil

Place = Literal["here", "elsewhere"]


def place_of(host: str) -> Place:
    """``here`` where every address behind a host name belongs to this machine."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return "elsewhere"
    addresses = {str(entry[4][0]).partition("%")[0] for entry in found}
    own = _own_addresses()
    is_here = all(ipaddress.ip_address(it).is_loopback or it in own for it in addresses)
    return "here" if addresses and is_here else "elsewhere"


def _own_addresses() -> set[str]:
    return {
        address.address.partition("%")[0]
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in (socket.AF_INET, socket.AF_INET6)
    }
