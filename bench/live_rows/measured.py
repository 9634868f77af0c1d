"""What rows of live knowledge have in common: figures with goals, percentiles, the embedder."""

import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.engine_peers.contender import CHECKOUT
from bench.live_peers.contender import Served, free_port

MODELS = CHECKOUT / ".models-cache"
_EMBEDDER = "bench.live_peers.embedder_child"


@dataclass
class Told:
    """What a row found.

    Attributes:
        goals: by figure of ours, the most that it may be; negative for the least.
        figures: by contender, figures by name.
        notes: what else is worth knowing.
    """

    measure: str
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    goals: dict[str, float] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    def met(self, figure: str) -> bool | None:
        """Whether a goal is reached; None where the figure is missing."""
        value = self.figures.get("Ponant", {}).get(figure)
        if value is None:
            return None
        goal = self.goals[figure]
        return value <= goal if goal >= 0 else value >= -goal


@dataclass(frozen=True)
class Place:
    """Where a row works: peers' environments, and how thorough it is.

    Attributes:
        quickest: of a peer's settings only the quickest takes part.
    """

    peers: Path
    full: bool = False
    quick: bool = False
    quickest: bool = False


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of the others do not exceed; never between two of them."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(name: str, milliseconds: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and the worst of times."""
    if not milliseconds:
        return {}
    return {
        f"{name}, median ms": round(statistics.median(milliseconds), 1),
        f"{name}, p95 ms": round(percentile(milliseconds, 0.95), 1),
        f"{name}, worst ms": round(max(milliseconds), 1),
    }


class SharedEmbedder:
    """The bench's embedder in its own process."""

    def __init__(self, kind: str, home: Path) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.served = Served(
            Path(sys.executable), _EMBEDDER, kind, str(self._port), str(home), folder=home
        )

    def told(self) -> dict[str, dict[str, float]]:
        """By what is counted, the counts by contender."""
        found: dict[str, dict[str, float]] = json.loads(self._ask("GET", "/told"))
        return found

    def passages(self, who: str) -> int:
        return int(self.told()["passages"].get(who, 0))

    def delay(self, seconds: float) -> None:
        """Make every passage take this long from now on."""
        self._ask("POST", "/delay", {"seconds": seconds})

    def _ask(self, method: str, path: str, asked: dict[str, Any] | None = None) -> bytes:
        host = urlsplit(self.url).netloc
        connection = http.client.HTTPConnection(host, timeout=60)
        try:
            connection.request(method, path, json.dumps(asked or {}))
            return connection.getresponse().read()
        finally:
            connection.close()

    def wait(self) -> None:
        """Until it answers."""
        for _ in range(600):
            self.served.check()
            try:
                self.told()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"The embedder did not start:\n{self.served.said}")


@contextmanager
def embedder(kind: str, work: Path) -> Iterator[SharedEmbedder]:
    """The embedder ``kind`` (e5 or hash), serving."""
    home = work / "embedder"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (home / "models").exists():
        (home / "models").symlink_to(MODELS.resolve() / "models")
    one = SharedEmbedder(kind, home)
    try:
        one.wait()
        yield one
    finally:
        one.served.close()


@contextmanager
def folder(name: str) -> Iterator[Path]:
    """A folder of a row's own, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=f"ponant-bench-{name}-") as made:
        yield Path(made)
