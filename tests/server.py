"""A real Ponant server in a process of its own, for tests that speak HTTP to it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.patience import PATIENCE

ADMIN_KEY = "pnt_test_administrator_0123456789"


@dataclass(frozen=True)
class Server:
    """Where a test's server listens, and as whom to speak to it."""

    url: str
    home: Path
    log: Path
    process: "subprocess.Popen[bytes]"
    key: str = ADMIN_KEY

    def client(self, key: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE)

    def run(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """A ``ponant`` command over this server's home."""
        return subprocess.run(
            [sys.executable, "-m", "ponant", *arguments],
            env=environment(self.home),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=check,
        )


def environment(home: Path, settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a test's own Ponant: nothing of the caller's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PONANT_")}
    return kept | {"PONANT_HOME": str(home)} | dict(settings or {})


def home_with_models(home: Path, models_home: Path) -> Path:
    """A new home that shares models, and what was derived from them, with another."""
    home.mkdir(mode=0o700)
    for shared in ("models", "cache"):
        (models_home / shared).mkdir(exist_ok=True)
        (home / shared).symlink_to(models_home / shared)
    return home


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def serving(home: Path, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Serve ``home`` while the block runs; the block begins when `/health` answers 200."""
    port = free_port()
    given = {"PONANT_PORT": str(port), "PONANT_ADMIN_KEY": ADMIN_KEY} | dict(settings or {})
    log = home.parent / f"server-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ponant", "serve"],
            env=environment(home, given),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(f"http://127.0.0.1:{port}", home, log, process)
    try:
        _wait_until_healthy(server)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_healthy(server: Server) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        try:
            if httpx.get(f"{server.url}/health", timeout=PATIENCE).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"the server did not get ready:\n{server.log.read_text()}")
