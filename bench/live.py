"""Live knowledge beside Pathway and CocoIndex, measured by turns on this machine.

    make bench-live                                     # every row that fits into half an hour
    .venv/bin/python -m bench.live --rows fresh-2k      # one row
    .venv/bin/python -m bench.live --resume             # only what this code has not measured yet
    .venv/bin/python -m bench.live --full               # at full size, with the rows that take long
    BENCH_QUICK=1 .venv/bin/python -m bench.live        # a tenth of the trials

Rows merge into bench/results/live.json, so that they may be run one by one; the table and
docs/live.png show all that lie there, and so does the decision about them. Peers' environments are
made under .bench (``--peers``).
"""

import argparse
import json
import os
import subprocess
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench import live_report
from bench.engine_peers.contender import CHECKOUT, HOME
from bench.harness import QUICK, RESULTS, merge
from bench.live_peers.environments import prepare, python
from bench.live_rows import (
    crashes,
    fresh,
    grounded,
    languages,
    large,
    pages,
    rewrites,
    stall,
    tables,
    together,
    versions,
    watched,
)
from bench.live_rows.measured import Place, Told

_FILE: Final = RESULTS / "live.json"
_DOCS: Final = CHECKOUT / "docs"
_PLOT: Final = _DOCS / "live.png"
_PAGE: Final = _DOCS / "decisions" / "0017-live-figures.md"

Row = Callable[[Place], Told]
_ROWS: Final[dict[str, Row]] = {
    "fresh-2k": fresh.at_2k,
    "stall": stall.stall,
    "rewrites": rewrites.rewrites,
    "languages": languages.languages,
    "query-100k": large.query,
    "query-300k": large.query_some,
    "query-1m": large.query_million,
    "restart": large.restart,
    "idle": large.idle,
    "fresh-100k": fresh.at_100k,
    "standing": watched.standing,
    "grounded": grounded.grounded,
    "kept": pages.kept,
    "edits": watched.edits,
    "mixing": versions.mixing,
    "killed": crashes.killed,
    "together": together.together,
    "joined": tables.joined,
    "windowed": tables.windowed,
}
_LONG: Final = frozenset({"query-300k", "query-1m"})
"""Rows that `--full` adds."""


def main() -> None:
    given = _arguments()
    console = Console(width=160)
    names = given.rows or [name for name in _ROWS if given.full or name not in _LONG]
    if given.resume:
        done = _measured(full=given.full)
        names = [name for name in names if name not in done]
    place = Place(given.peers, given.full, QUICK, quickest=given.quickest)
    failed = [name for name in names if not _run(name, place, console)]
    console.print(_summary())
    if not QUICK:
        prepare(given.peers, ("plot",))
        plot = [str(python(given.peers, "plot")), "-m", "bench.live_plot", str(_FILE), str(_PLOT)]
        subprocess.run(plot, check=True)
        live_report.write(_FILE, _PAGE, _ROWS)
    if failed:
        raise SystemExit(f"These rows failed: {', '.join(failed)}.")


def _run(name: str, place: Place, console: Console) -> bool:
    """Measure one row; a row that fails leaves what was measured before."""
    console.rule(name)
    begun, load = time.monotonic(), os.getloadavg()[0]
    try:
        told = _ROWS[name](place)
    except Exception:  # noqa: BLE001 - the other rows are still worth having
        console.print(traceback.format_exc(), markup=False)
        return False
    seconds = round(time.monotonic() - begun, 1)
    row = asdict(told) | {
        "met": {figure: told.met(figure) for figure in told.goals},
        "seconds": seconds,
        "load before": round(load, 2),
        "quick": place.quick,
        "full": place.full,
        "code": _code(),
    }
    merge(_FILE, name, row)
    console.print(_details(told), f"{seconds} s, load before {load:.1f}")
    return True


def _measured(*, full: bool) -> set[str]:
    """Rows that lie there from this state of the code, at that size."""
    rows: dict[str, Any] = json.loads(_FILE.read_text())["rows"] if _FILE.exists() else {}
    code, wanted = _code(), {"quick": QUICK, "full": full}
    return {
        name
        for name, row in rows.items()
        if row.get("code") == code and all(row.get(key) == value for key, value in wanted.items())
    }


def _code() -> str:
    """What git calls the present state of the package, changes aside."""
    command = ["git", "rev-parse", "HEAD:src"]
    asked = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return asked.stdout.strip()


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", nargs="+", choices=list(_ROWS))
    arguments.add_argument("--full", action="store_true")
    arguments.add_argument("--resume", action="store_true")
    arguments.add_argument(
        "--quickest",
        action="store_true",
        help="of Pathway's settings only the quickest, in fresh-2k",
    )
    peers = Path(os.environ.get("PONANT_BENCH_PEERS", HOME))
    arguments.add_argument("--peers", type=Path, default=peers, help="where environments lie")
    return arguments.parse_args()


def _details(told: Told) -> Table:
    """Every figure of a row, a column a contender."""
    table = Table(told.measure, *told.figures, "goal", "")
    names = dict.fromkeys(name for figures in told.figures.values() for name in figures)
    for name in names:
        cells = [_cell(figures.get(name)) for figures in told.figures.values()]
        goal, met = told.goals.get(name), told.met(name) if name in told.goals else None
        table.add_row(name, *cells, _bound(goal), {True: "✓", False: "✗", None: ""}[met])
    for name, value in told.notes.items():
        table.add_row(name, _cell(value))
    return table


def _summary() -> Table:
    """Every goal with what was measured for it so far."""
    table = Table("row", "figure", "Ponant", "goal", "")
    rows: dict[str, Any] = json.loads(_FILE.read_text())["rows"] if _FILE.exists() else {}
    for name, row in rows.items():
        for figure, goal in row["goals"].items():
            value = row["figures"].get("Ponant", {}).get(figure)
            mark = {True: "✓", False: "✗", None: "?"}[row["met"][figure]]
            table.add_row(name, figure, _cell(value), _bound(goal), mark)
    return table


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return "" if value is None else str(value)


def _bound(goal: float | None) -> str:
    if goal is None:
        return ""
    return f"≤ {goal:g}" if goal >= 0 else f"≥ {-goal:g}"


if __name__ == "__main__":
    main()
