"""Writes what was measured into the decision that tells it, as tables in Markdown."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from bench.report import replace_figures


def write(results: Path, page: Path, rows: Collection[str]) -> None:
    """Replace what stands between the page's two marks by the present figures.

    Args:
        rows: the names of all there are, so that what was not measured is told too.
    """
    told = json.loads(results.read_text())
    tables = (_row(name, row) for name, row in told["rows"].items())
    absent = [name for name in rows if name not in told["rows"]]
    replace_figures(page, "\n\n".join([_machine(told, absent), *tables]))


def _machine(told: dict[str, Any], absent: Sequence[str]) -> str:
    machine = told["machine"]
    met = [met for row in told["rows"].values() for met in row["met"].values()]
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}. "
        f"Of {len(met)} goals {sum(one is True for one in met)} are reached."
        + (f" Not measured: {', '.join(absent)}." if absent else "")
    )


def _row(name: str, row: dict[str, Any]) -> str:
    who = list(row["figures"])
    names = dict.fromkeys(one for figures in row["figures"].values() for one in figures)
    busy = " Taken beside other work." if row["load before"] > 1 else ""
    lines = [
        f"### {row['measure']}",
        "",
        f"`{name}`, {row['seconds']:.0f} s.{busy}",
        "",
        f"| figure | {' | '.join(who)} | goal | |",
        f"|---|{'---|' * len(who)}---|---|",
    ]
    for one in names:
        cells = " | ".join(_cell(row["figures"][each].get(one)) for each in who)
        goal = row["goals"].get(one)
        mark = {True: "reached", False: "missed", None: ""}[row["met"].get(one)]
        lines.append(f"| {one} | {cells} | {_bound(goal)} | {mark} |")
    lines += [f"\n{note}: {value}." for note, value in row["notes"].items()]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4g}"
    return "" if value is None else str(value)


def _bound(goal: float | None) -> str:
    if goal is None:
        return ""
    return f"at most {goal:g}" if goal >= 0 else f"at least {-goal:g}"
