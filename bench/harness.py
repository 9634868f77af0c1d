"""What every bench needs: contenders by turns, medians of ratios, and results that merge.

Other work on a machine moves bare times, so that only what was measured in turns is compared.
"""

import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OURS = "Ponant"
RESULTS = Path(__file__).parent / "results"
QUICK = os.environ.get("BENCH_QUICK") == "1"
PAIRS = 2 if QUICK else 7


@dataclass
class Figures:
    """What one measure gave: by contender, a value for every round.

    ``ours`` is whom the ratios are of; all others are what it is compared with. ``points`` are what
    a row that measures several sizes has found at each.
    """

    measure: str
    unit: str
    values: dict[str, list[float]] = field(default_factory=dict)
    lower_is_better: bool = False
    notes: dict[str, Any] = field(default_factory=dict)
    ours: str = OURS
    points: list["Point"] = field(default_factory=list)

    def median(self, name: str) -> float:
        return statistics.median(self.values[name])

    @property
    def others(self) -> list[str]:
        return [name for name in self.values if name != self.ours]

    def ratio(self, theirs: str) -> float:
        """Median over the rounds of how many times better `ours` was in that round."""
        pairs = zip(self.values[self.ours], self.values[theirs], strict=True)
        return statistics.median(b / a if self.lower_is_better else a / b for a, b in pairs)

    def best(self, names: Sequence[str]) -> str:
        """The contender with the best median."""
        pick = min if self.lower_is_better else max
        return pick(names, key=self.median)


@dataclass(frozen=True)
class Point:
    """One size of a row that measures several.

    Attributes:
        rounds: how often everyone was measured.
        medians: by contender; not all are measured everywhere.
        ratios: medians over the rounds of how many times better ours was, by contender.
    """

    size: int
    rounds: int
    medians: dict[str, float]
    ratios: dict[str, float]


def in_turns(
    figures: Figures, measures: Mapping[str, Callable[[], float]], pairs: int = PAIRS
) -> Figures:
    """Measure everyone once a round, every other round in the opposite order."""
    names = list(measures)
    figures.values = {name: [] for name in names}
    for number in range(pairs):
        for name in names if number % 2 == 0 else reversed(names):
            figures.values[name].append(measures[name]())
    return figures


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    described: dict[str, Any] = {"system": platform.platform(), "cores": os.cpu_count()}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            described["processor"] = value.strip()
        if name.strip() == "flags":
            wanted = ("avx2", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
            described["instructions"] = [flag for flag in wanted if flag in value.split()]
    return described


def merge(path: Path, key: str, row: Mapping[str, Any]) -> None:
    """Put a row into a results file, beside those that other runs left there."""
    path.parent.mkdir(exist_ok=True)
    results = json.loads(path.read_text()) if path.exists() else {}
    results["machine"] = machine()
    results.setdefault("rows", {})[key] = dict(row)
    path.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
