"""Ponant's engine beside every engine that one could embed, measured by turns on this machine.

    make bench-engine                                  # everything, over an hour
    .venv/bin/python -m bench.engine --rows decode --models starter
    BENCH_QUICK=1 .venv/bin/python -m bench.engine     # two rounds instead of seven

Rows merge into bench/results/engine.json, so that they may be run one by one; the table and
docs/engine.png show all that lie there. Peers and models are made under .bench.
"""

import argparse
import json
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench import engine_report
from bench.engine_models.catalogue import FORMS, MODELS, Model, make
from bench.engine_peers.environments import prepare, python
from bench.engine_peers.setups import BUILT, SERVER
from bench.engine_rows import (
    api,
    beside,
    cached,
    grounded,
    growth,
    quality,
    resources,
    speed,
    structured,
)
from bench.harness import QUICK, RESULTS, Figures, merge

_FILE: Final = RESULTS / "engine.json"
_DOCS: Final = Path(__file__).parent.parent / "docs"
_PLOT: Final = _DOCS / "engine.png"
_PAGE: Final = _DOCS / "decisions" / "0009-engine-figures.md"
_KNOWN: Final = {**MODELS, **FORMS}
_SPEED: Final = ("starter", "llama-1b-q4_k_m", "llama-1b-q8_0")
_STARTED: Final = (*_SPEED, "mistral-7b-q4_k_m")
_LLAMA: Final = (BUILT, SERVER)

Row = Callable[[Model], Figures | Iterable[Figures]]
_ROWS: Final[dict[str, tuple[Row, tuple[str, ...]]]] = {
    "prefill": (speed.prefill, _SPEED),
    "decode": (speed.decode, _SPEED),
    "streams": (speed.streams, _SPEED),
    "perplexity": (quality.perplexity, ("starter",)),
    "forms": (quality.form, tuple(FORMS)),
    "quoting": (grounded.quoting, ("starter",)),
    "free": (grounded.free, ("starter",)),
    "cached": (cached.seen_before, ("starter",)),
    "shaped": (structured.one, ("starter",)),
    "shaped-streams": (structured.many, ("starter",)),
    "beside": (beside.decode, ("starter",)),
    "api": (api.overhead, ("starter",)),
    "growth-prefill": (growth.prefill, ("starter",)),
    "growth-streams": (growth.streams, ("starter",)),
    "memory": (resources.memory, tuple(MODELS)),
    "start": (resources.first_token, _STARTED),
}
"""Every row with the models it is measured on."""


def main() -> None:
    given = _arguments()
    prepare()
    console = Console(width=140)
    for name in given.rows:
        row, models = _ROWS[name]
        for model in models:
            if model in given.models:
                console.rule(f"{name}, {model}")
                described = _KNOWN[model]
                make(described)
                taken = row(described)
                for figures in [taken] if isinstance(taken, Figures) else taken:
                    merge(_FILE, f"{name} {model}", _told(figures, model))
                console.print(_details(figures))
    console.print(_summary())
    subprocess.run([python("plot"), "-m", "bench.engine_plot", _FILE, _PLOT], check=True)
    if not QUICK:
        engine_report.write(_FILE, _PAGE)


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", nargs="+", default=list(_ROWS), choices=list(_ROWS))
    arguments.add_argument("--models", nargs="+", default=list(_KNOWN), choices=list(_KNOWN))
    return arguments.parse_args()


def _told(figures: Figures, model: str) -> dict[str, Any]:
    """A row as it is stored: every value, medians, and ratios of ours to each peer."""
    told: dict[str, Any] = {
        "measure": figures.measure,
        "model": model,
        "unit": figures.unit,
        "lower_is_better": figures.lower_is_better,
        "values": figures.values,
        "medians": {name: figures.median(name) for name in figures.values},
        "notes": figures.notes,
        "ours": figures.ours,
        "taken": datetime.now(UTC).date().isoformat(),
    }
    if figures.points:
        told["points"] = [asdict(point) for point in figures.points]
    if figures.others:
        told["ratios"] = {name: figures.ratio(name) for name in figures.others}
        told["best_peer"] = figures.best(figures.others)
        llamas = [name for name in figures.others if name in _LLAMA]
        told["best_llama"] = figures.best(llamas) if llamas else None
    return told


def _details(figures: Figures) -> Table:
    table = Table(figures.measure, f"median, {figures.unit}", "least", "most", "ours against it")
    for name, values in figures.values.items():
        against = f"{figures.ratio(name):.2f}" if name != figures.ours else ""
        least, most = f"{min(values):.4g}", f"{max(values):.4g}"
        table.add_row(name, f"{figures.median(name):.4g}", least, most, against)
    for name, note in figures.notes.items():
        table.add_row(name, str(note), "", "", "")
    return table


def _summary() -> Table:
    """The table of everything measured so far."""
    table = Table("measure", "model", "Ponant", "best peer", "", "ratio", "to the best llama.cpp")
    rows = json.loads(_FILE.read_text())["rows"] if _FILE.exists() else {}
    for row in rows.values():
        ours = row["medians"].get(row["ours"])
        best, llama = row.get("best_peer"), row.get("best_llama")
        table.add_row(
            row["measure"],
            row["model"],
            "" if ours is None else f"{ours:.4g} {row['unit']}",
            f"{row['medians'][best]:.4g}" if best else "",
            best or "",
            f"{row['ratios'][best]:.2f}" if best else "",
            f"{row['ratios'][llama]:.2f}" if llama else "",
        )
    return table


if __name__ == "__main__":
    main()
