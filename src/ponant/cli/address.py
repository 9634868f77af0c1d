"""Where the running server of a home listens, for the commands that speak to it."""

from pathlib import Path

import msgspec
import psutil


class ServerAddress(msgspec.Struct, frozen=True):
    """Where the running server of a home listens; kept in ``run/server.json``."""

    url: str
    pid: int
    started: float  # tells a process from a later one with the same number


def server_address(home: Path) -> ServerAddress | None:
    """Where the server of ``home`` listens, or None where none runs."""
    file = home / "run" / "server.json"
    try:
        address = msgspec.json.decode(file.read_bytes(), type=ServerAddress)
        running = psutil.Process(address.pid).create_time() == address.started
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None
    return address if running else None
