"""Draws docs/engine.png from the results: bars of every speed row, and cost as work grows.

It runs in an environment of its own with matplotlib and imports nothing of Ponant.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

_BARS = ("prefill", "decode", "streams")
_COLOURS = {
    "Ponant": "#0b7285",
    "llama.cpp built here": "#e8590c",
    "xllamacpp wheel (server)": "#f4a261",
    "OpenVINO GenAI int8": "#5f3dc4",
    "OpenVINO GenAI int4": "#b197fc",
}


def main(results: Path, picture: Path) -> None:
    rows = json.loads(results.read_text())["rows"] if results.exists() else {}
    figure, axes = plt.subplots(2, 3, figsize=(15, 8.5))
    for axis, name in zip(axes[0], _BARS, strict=True):
        _bars(axis, {key: row for key, row in rows.items() if key.split()[0] == name})
    _curves(axes[1][0], rows.get("growth-prefill starter"), "prompt tokens")
    _curves(axes[1][1], rows.get("growth-streams starter"), "streams at once")
    _times(axes[1][2], rows)
    figure.tight_layout()
    picture.parent.mkdir(exist_ok=True)
    figure.savefig(picture, dpi=110)


def _bars(axis: Any, rows: dict[str, Any]) -> None:
    """One group a model, every bar relative to the best peer's median."""
    if not rows:
        axis.set_axis_off()
        return
    names = [name for name in _COLOURS if any(name in row["medians"] for row in rows.values())]
    width = 0.8 / len(names)
    for place, name in enumerate(names):
        heights = [
            row["medians"].get(name, 0) / row["medians"][row["best_peer"]] for row in rows.values()
        ]
        at = [group + place * width for group in range(len(rows))]
        axis.bar(at, heights, width, label=name, color=_COLOURS[name])
    axis.axhline(1, color="#495057", linewidth=0.8)
    axis.set_xticks(
        [group + 0.4 - width / 2 for group in range(len(rows))],
        [row["model"] for row in rows.values()],
    )
    axis.set_title(next(iter(rows.values()))["measure"])
    axis.set_ylabel("speed, best peer = 1")
    axis.set_ylim(top=1.35 * axis.get_ylim()[1])  # the legend stands above the bars
    axis.legend(fontsize=7, ncols=2, loc="upper left")


def _curves(axis: Any, row: dict[str, Any] | None, label: str) -> None:
    if row is None:
        axis.set_axis_off()
        return
    for name, colour in _COLOURS.items():
        told = [(at["size"], at["medians"][name]) for at in row["points"] if name in at["medians"]]
        if told:
            axis.plot(*zip(*told, strict=True), "o-", label=name, color=colour)
    axis.set_xscale("log", base=2)
    sizes = [at["size"] for at in row["points"]]
    axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axis.set_xlabel(label)
    axis.set_ylabel("tokens/s")
    axis.set_title(row["measure"])
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=7)


def _times(axis: Any, rows: dict[str, Any]) -> None:
    """Memory of the models side by side."""
    chosen = {key: row for key, row in rows.items() if key.split()[0] == "memory"}
    if not chosen:
        axis.set_axis_off()
        return
    names = [name for name in _COLOURS if any(name in row["medians"] for row in chosen.values())]
    width = 0.8 / len(names)
    for place, name in enumerate(names):
        heights = [row["medians"].get(name, 0) for row in chosen.values()]
        at = [group + place * width for group in range(len(chosen))]
        axis.bar(at, heights, width, label=name, color=_COLOURS[name])
    axis.set_xticks(
        [group + 0.4 - width / 2 for group in range(len(chosen))],
        [row["model"] for row in chosen.values()],
    )
    axis.set_title("resident memory, MiB")
    axis.set_yscale("log")
    axis.legend(fontsize=7)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
