"""The bench's side of a contender: its processes, its folder, and what it answers."""

import contextlib
import ctypes
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.engine_peers.contender import CHECKOUT

_START_SECONDS = 900.0
_END_SECONDS = 5.0
_MIB = 2**20
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Setup:
    """How a contender is started.

    Attributes:
        name: what the table calls it.
        python: the interpreter of its environment.
        module: the child to run.
        path: where it answers searches, and under what names it takes and gives.
    """

    name: str
    python: Path
    module: str
    path: str = "/search"
    options: Mapping[str, Any] = field(default_factory=dict)


class Served:
    """A child process of the bench that answers on a port of its own."""

    def __init__(self, python: Path, module: str, *arguments: str, folder: Path) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [python, "-m", module, *arguments],
            cwd=folder,
            env=_environment(folder),
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_the_bench,  # noqa: PLW1509 - nothing else runs in this thread
        )

    @property
    def processes(self) -> list[psutil.Process]:
        """The child and all below it."""
        try:
            parent = psutil.Process(self._process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    @property
    def memory(self) -> float:
        """MiB that only these processes hold."""
        return sum(process.memory_full_info().uss for process in self.processes) / _MIB

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far."""
        times = [process.cpu_times() for process in self.processes]
        return sum(time.user + time.system for time in times)

    def check(self) -> None:
        """Raises RuntimeError with the end of what was said where the child has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"A contender ended:\n{self.said}")

    @property
    def said(self) -> str:
        self._log.seek(0)
        return self._log.read()[-4000:].decode(errors="replace")

    def stop(self) -> None:
        """Let it stand still, so that others are measured alone."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, with everything below it."""
        self._signal(signal.SIGKILL)
        self._process.wait(timeout=_END_SECONDS)

    def close(self) -> None:
        """End it as people do; what does not end is killed."""
        self.go_on()
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_END_SECONDS)
        if self._process.poll() is None:
            self.kill()
        self._log.close()

    def _signal(self, number: int) -> None:
        for process in self.processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


class Contender:
    """Something that follows a folder and answers searches over it."""

    def __init__(self, setup: Setup, corpus: Path, embedder: str, work: Path) -> None:
        self.setup = setup
        self.name = setup.name
        self.folder = corpus
        self._home = work / _plain(setup.name)
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._embedder = f"{embedder}/embed/{_plain(setup.name)}"
        self.start()

    @property
    def key(self) -> str:
        """The name under which the embedder counts it."""
        return _plain(self.name)

    def start(self) -> None:
        """Start, or start again over what was stored."""
        self._port = free_port()
        options = {
            "home": str(self._home),
            "folder": str(self.folder),
            "port": self._port,
            "embedder": self._embedder,
            **self.setup.options,
        }
        self.served = Served(
            self.setup.python, self.setup.module, json.dumps(options), folder=self._home
        )
        self._connection: http.client.HTTPConnection | None = None

    def search(self, query: str, count: int = 10) -> list[str]:
        """The texts of the passages found."""
        found = self._post(self.setup.path, {"query": query, "k": count})
        return [hit["text"] for hit in found] if isinstance(found, list) else found["texts"]

    def sees(self, mark: str, query: str, count: int = 20) -> bool:
        """Whether a passage with ``mark`` is among those found."""
        return any(mark in text for text in self.search(query, count))

    def ask(self, query: str, count: int = 10, **options: Any) -> list[dict[str, Any]]:
        """What Ponant finds, with all that it says of each passage."""
        found = self._post(self.setup.path, {"query": query, "k": count, **options})
        hits: list[dict[str, Any]] = found["hits"]
        return hits

    def state(self) -> dict[str, Any]:
        """What Ponant says of its libraries."""
        state: dict[str, Any] = self._request("GET", "/state", None)
        return state

    def in_step(self) -> bool:
        """Whether Ponant has everything, embedded too."""
        return bool(self.state()["state"] == "in_step")

    @property
    def live(self) -> psutil.Process:
        """Ponant's live process, which owns sources and indexes."""
        return psutil.Process(self.state()["pid"])

    def wait_until(self, ready: Any, seconds: float = _START_SECONDS) -> float:
        """Seconds until ``ready(self)``; while it starts, nothing listens yet."""
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            self.served.check()
            with contextlib.suppress(OSError, http.client.HTTPException, RuntimeError):
                if ready(self):
                    return time.perf_counter() - begun
            time.sleep(0.02)
        raise RuntimeError(f"{self.name} did not get ready:\n{self.served.said}")

    def close(self) -> None:
        self.served.close()

    def _post(self, path: str, asked: dict[str, Any]) -> Any:
        return self._request("POST", path, asked)

    def _request(self, method: str, path: str, asked: dict[str, Any] | None) -> Any:
        """One request over a connection that is kept; made anew where it had been closed."""
        body = None if asked is None else json.dumps(asked)
        headers = {"Content-Type": "application/json"}
        for is_last in (False, True):
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
            try:
                self._connection.request(method, path, body, headers)
                response = self._connection.getresponse()
                data = response.read()
                break
            except (OSError, http.client.HTTPException):
                self._connection = None
                if is_last:
                    raise
        if response.status != 200:
            raise RuntimeError(f"{self.name} answered {response.status}: {data[:300]!r}")
        return json.loads(data)


@contextlib.contextmanager
def alone(chosen: Contender, all_of_them: list[Contender]) -> Iterator[None]:
    """All others stand still meanwhile."""
    others = [one for one in all_of_them if one is not chosen]
    for one in others:
        one.served.stop()
    try:
        yield
    finally:
        for one in others:
            one.served.go_on()


def copied(corpus: Path, to: Path) -> Path:
    """A contender's own copy of the corpus."""
    shutil.copytree(corpus, to)
    return to


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _end_with_the_bench() -> None:
    """Have the system end the child when the bench ends, however that comes (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PONANT_LIVE")}
    return kept | {
        "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{CHECKOUT / 'src'}",
        "COCOINDEX_DB": str(folder / "state.db"),
        "COCOINDEX_DISABLE_USAGE_TRACKING": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
