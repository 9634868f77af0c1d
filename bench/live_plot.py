"""Draws docs/live.png from the results: edits to searches, and what each goal came to.

It runs in an environment of its own with matplotlib and imports nothing of Ponant.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

_COLOURS = {
    "Ponant": "#0b7285",
    "Pathway, default": "#ffd8a8",
    "Pathway, 50 ms": "#f4a261",
    "Pathway, 50 ms, cache": "#e8590c",
    "CocoIndex": "#5f3dc4",
}
_KINDS = ("word", "paraphrase")


def main(results: Path, picture: Path) -> None:
    rows = json.loads(results.read_text())["rows"] if results.exists() else {}
    figure, axes = plt.subplots(2, 2, figsize=(14, 9), layout="constrained")
    _edits(axes[0][0], rows.get("fresh-2k"))
    _edits(axes[0][1], rows.get("fresh-100k"))
    _languages(axes[1][0], rows.get("languages"))
    _goals(axes[1][1], rows)
    picture.parent.mkdir(exist_ok=True)
    figure.savefig(picture, dpi=110)


def _edits(axis: Any, row: dict[str, Any] | None) -> None:
    """Median and 95th percentile of every contender, on a scale of tens."""
    if row is None:
        axis.set_axis_off()
        return
    names = [name for name in _COLOURS if name in row["figures"]]
    groups = [f"{kind}, {loop}" for kind in _KINDS for loop in ("closed", "random")]
    width = 0.8 / len(names)
    for place, name in enumerate(names):
        at = [group + place * width for group in range(len(groups))]
        figures = row["figures"][name]
        medians = [figures.get(f"{group}, median ms", 0) for group in groups]
        worst = [figures.get(f"{group}, p95 ms", 0) for group in groups]
        axis.bar(at, medians, width, label=name, color=_COLOURS[name])
        axis.plot(at, worst, "_", color="#212529")
    axis.set_yscale("log")
    at = [group + 0.4 - width / 2 for group in range(len(groups))]
    axis.set_xticks(at, groups, fontsize=8)
    axis.set_ylabel("ms, median (bar) and p95 (line)")
    axis.set_title(row["measure"])
    axis.legend(fontsize=7)


def _languages(axis: Any, row: dict[str, Any] | None) -> None:
    """Recall in every language by keywords, by meaning and by both."""
    if row is None:
        axis.set_axis_off()
        return
    figures = row["figures"]["Ponant"]
    languages = list(dict.fromkeys(name.split(",")[0] for name in figures if "recall@5" in name))
    colours = {"keyword": "#adb5bd", "vector": "#74c0fc", "hybrid": "#0b7285"}
    for place, (mode, colour) in enumerate(colours.items()):
        heights = [figures.get(f"{one}, {mode}, recall@5", 0) for one in languages]
        at = [group + 0.27 * place for group in range(len(languages))]
        axis.bar(at, heights, 0.27, label=mode, color=colour)
    axis.axhline(0.9, color="#c92a2a", linewidth=0.8)
    axis.set_xticks([group + 0.27 for group in range(len(languages))], languages, fontsize=7)
    axis.set_title("recall@5, section title to passage")
    axis.legend(fontsize=7, loc="lower right")


def _goals(axis: Any, rows: dict[str, Any]) -> None:
    """Every goal: how far below or above it the figure lies; left of the line it is reached."""
    named = [
        (f"{name}: {figure}", _share(row["figures"].get("Ponant", {}).get(figure), goal))
        for name, row in rows.items()
        for figure, goal in row["goals"].items()
    ]
    known = [(name, share) for name, share in named if share is not None]
    if not known:
        axis.set_axis_off()
        return
    colours = ["#2b8a3e" if share <= 1 else "#c92a2a" for _, share in known]
    axis.barh(range(len(known)), [min(share, 10) for _, share in known], color=colours)
    axis.axvline(1, color="#495057", linewidth=0.8)
    axis.set_yticks(range(len(known)), [name for name, _ in known], fontsize=5)
    axis.invert_yaxis()
    axis.set_title("figures as a share of their goals (at most 1)")


def _share(value: float | None, goal: float) -> float | None:
    if value is None:
        return None
    if goal < 0:
        return -goal / value if value else 10.0
    if not goal:  # where nothing may happen, once is as bad as the picture can show
        return 10.0 if value else 0.0
    return value / goal


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
