"""What a newcomer pays and gets: bytes, start, memory, first token and tokens per second.

    .venv/bin/python bench/first_light.py            # start, memory, speed, over this checkout
    .venv/bin/python bench/first_light.py --fresh    # also bytes and time from a fresh clone

It prints a table and writes bench/results/first_light.json. Backends are alternated within one run,
since other work on the machine moves bare times; the ratio is what to compare.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.server import Server, serving

_CHECKOUT = Path(__file__).parent.parent
_RESULTS = Path(__file__).parent / "results" / "first_light.json"
_PAIRS = 7
_TOKENS = 96
_PROMPT = "Write a long story about a lighthouse keeper and the west wind."
_PASSAGE = "The reception desk opens at 08:30 on weekdays.\n"
_MIB = 1024 * 1024


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--fresh", action="store_true", help="clone and set up from nothing")
    arguments.add_argument("--models", type=Path, default=_CHECKOUT / ".models-cache" / "models")
    given = arguments.parse_args()
    rows: dict[str, Any] = {"machine": platform.platform(), "cores": os.cpu_count()}
    if given.fresh:
        rows |= _fresh()
    rows |= _at_rest(given.models)
    rows |= _speed(given.models)
    _RESULTS.parent.mkdir(exist_ok=True)
    _RESULTS.write_text(json.dumps(rows, indent=2) + "\n")
    table = Table("measure", "value")
    for name, value in rows.items():
        table.add_row(name, str(value))
    Console().print(table)


def _fresh() -> dict[str, Any]:
    """Clone, set up with empty caches, serve, and ask until the first cited answer."""
    with tempfile.TemporaryDirectory(prefix="ponant-bench-") as folder:
        root = Path(folder)
        clone, home = root / "clone", root / "home"
        started, received = time.monotonic(), _received()
        subprocess.run(["git", "clone", "--quiet", _CHECKOUT, clone], check=True)
        environment = _clean(os.environ) | {
            "PIP_CACHE_DIR": str(root / "pip"),
            "npm_config_cache": str(root / "npm"),
            "PONANT_HOME": str(home),
        }
        subprocess.run(["make", "setup"], cwd=clone, env=environment, check=True)
        set_up = time.monotonic() - started
        with _server_of(clone, home) as server:
            asked = time.monotonic()
            _cited_answer(server)
            answered = time.monotonic()
        fetched = _received() - received + _local_wheels(clone)
        return {
            "fetched, MiB (all packages and models)": round(fetched / _MIB),
            "on disk, MiB (environment)": round(_size(clone / ".venv") / _MIB),
            "on disk, MiB (page's build tools)": round(_size(clone / "web/node_modules") / _MIB),
            "on disk, MiB (models)": round(_size(home / "models") / _MIB),
            "clone to ready, s": round(set_up, 1),
            "library, file and first cited answer, s": round(answered - asked, 1),
        }


@contextmanager
def _server_of(clone: Path, home: Path) -> Iterator[Server]:
    own, sys.executable = sys.executable, str(clone / ".venv/bin/python")
    try:
        with serving(home) as server:
            yield server
    finally:
        sys.executable = own


def _received() -> int:
    """Bytes that came over the network to this machine, whoever asked for them."""
    counters = psutil.net_io_counters(pernic=True)
    return sum(count.bytes_recv for name, count in counters.items() if name != "lo")


def _local_wheels(clone: Path) -> int:
    """Bytes of torch, where pip took a file of this machine instead of the network."""
    requirements = clone / "requirements" / "engine.txt"
    installed = next((clone / ".venv").glob("lib/python*/site-packages/torch"), None)
    if installed is None:
        return 0
    before = _received()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", folder]
        subprocess.run([*command, "-r", requirements], check=True, stderr=subprocess.DEVNULL)
        size = _size(Path(folder))
    return size if _received() - before < size / 2 else 0


def _cited_answer(server: Server) -> None:
    with server.client() as client:
        library = client.post("/v1/libraries", json={"name": "Bench"}).json()["id"]
        upload = {"file": ("desk.md", _PASSAGE.encode(), "text/markdown")}
        client.post(f"/v1/libraries/{library}/documents", files=upload).raise_for_status()
        while not _found(client, library):
            time.sleep(0.05)
        body = {
            "inputs": "When does the reception desk open?",
            "model": "starter",
            "stream": True,
            "tools": [{"type": "document_library", "library_ids": [library]}],
        }
        with client.stream("POST", "/v1/conversations", json=body, timeout=120) as response:
            assert "tool_reference" in "".join(response.iter_text()), "no citation"


def _found(client: httpx.Client, library: str) -> bool:
    asked = {"query": "reception desk", "limit": 1}
    return bool(client.post(f"/v1/libraries/{library}/search", json=asked).json()["data"])


def _at_rest(models: Path) -> dict[str, Any]:
    """Start of a home that has been served before, and memory once nothing is asked."""
    with _home(models) as home:
        with serving(home):
            pass
        times = []
        for _ in range(3):
            started = time.monotonic()
            with serving(home) as server:
                times.append(time.monotonic() - started)
                time.sleep(2)
                memory = _memory(server)
        return {"second start to healthy, s": round(statistics.median(times), 2)} | memory


def _memory(server: Server) -> dict[str, Any]:
    parent = psutil.Process(server.process.pid)
    rows = {"memory at rest, MiB (API process)": round(parent.memory_full_info().uss / _MIB)}
    for child in parent.children(recursive=True):
        name = _role(child.cmdline())
        if name:
            rows[f"memory at rest, MiB ({name})"] = round(child.memory_full_info().uss / _MIB)
    return rows


def _role(command: list[str]) -> str | None:
    words = " ".join(command)
    if "ponant.live" in words:
        return "live process" if "process" in words else "parser"
    if "ponant.serving" not in words:
        return None
    return f"worker of {command[-1]}"


def _speed(models: Path) -> dict[str, Any]:
    """First token and decode of the starter on each backend, alternated."""
    with _home(models) as one, _home(models) as other:
        with (
            serving(one, {"PONANT_ENGINE": "native"}) as native,
            serving(other, {"PONANT_ENGINE": "llamacpp"}) as llamacpp,
        ):
            measured: dict[str, list[tuple[float, float]]] = {"native": [], "llamacpp": []}
            for server in (native, llamacpp):
                _generate(server)  # the first request pays for what is loaded lazily
            for _ in range(_PAIRS):
                for name, server in (("native", native), ("llamacpp", llamacpp)):
                    measured[name].append(_generate(server))
    rows: dict[str, Any] = {}
    for name, pairs in measured.items():
        rows[f"first token, ms ({name})"] = round(1000 * statistics.median(p[0] for p in pairs))
        rows[f"decode, tokens/s ({name})"] = round(statistics.median(p[1] for p in pairs), 1)
    ratios = [a[1] / b[1] for a, b in zip(measured["native"], measured["llamacpp"], strict=True)]
    rows["decode, native over llamacpp (median of pairs)"] = round(statistics.median(ratios), 2)
    return rows


def _generate(server: Server) -> tuple[float, float]:
    """Seconds to the first token, and tokens per second after it."""
    body = {
        "model": "starter",
        "prompt": _PROMPT,
        "max_tokens": _TOKENS,
        "temperature": 0,
        "stream": True,
    }
    started = time.monotonic()
    first = last = 0.0
    with server.client() as client, client.stream("POST", "/v1/completions", json=body) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                last = time.monotonic()
                first = first or last
                usage = json.loads(line.removeprefix("data: ")).get("usage")
                made = usage["completion_tokens"] if usage else 0
    return first - started, (made - 1) / (last - first)


@contextmanager
def _home(models: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ponant-bench-"))
    home = folder / "home"
    home.mkdir(mode=0o700)
    (home / "models").symlink_to(models)
    try:
        yield home
    finally:
        shutil.rmtree(folder)


def _clean(environment: "os._Environ[str]") -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("PONANT_")}


def _size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file() and not f.is_symlink())


if __name__ == "__main__":
    main()
