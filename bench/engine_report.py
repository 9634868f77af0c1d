"""Writes what was measured of the engine into the decision that tells it, as tables in Markdown."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.engine_models.catalogue import FORMS, MODELS
from bench.engine_peers.setups import everyone
from bench.report import replace_figures

_AMONG_PEERS: Final = ("prefill", "decode", "streams", "perplexity", "memory", "start")
_SHAPED: Final = ("shaped", "shaped-streams")
_GROWTH: Final = {"growth-prefill": "prompt tokens", "growth-streams": "streams"}
_GOALS: Final[Mapping[str, Mapping[str, float]]] = {
    "prefill": {"best_peer": 1.3, "best_llama": 5},
    "decode": {"best_peer": 1.4},
    "streams": {"best_peer": 1.7, "best_llama": 4},
    "perplexity": {"best_llama": 1},
    "memory": {"best_llama": 1 / 1.15},
    "start": {"best_llama": 1 / 2},
}
"""By row: at least so many times better than the best of a kind."""
_OWN_GOALS: Final = {"quoting": 2.0, "free": 0.97, "cached": 10.0, "beside": 0.5}
_API_GOALS: Final = {"p50": 3.0, "p99": 15.0}  # milliseconds
_KINDS: Final = {"best_peer": "the best", "best_llama": "llama.cpp"}

Row = Mapping[str, Any]


def write(results: Path, page: Path) -> None:
    """Replace what stands between the page's two marks by the present figures."""
    told = json.loads(results.read_text())
    replace_figures(page, "\n\n".join(_tables(told["machine"], told["rows"])))


def _tables(machine: Mapping[str, Any], rows: Mapping[str, Row]) -> Iterator[str]:
    instructions = ", ".join(machine["instructions"])
    yield f"{machine['processor']}, {machine['cores']} cores, {instructions}; {machine['system']}."
    yield "\n".join(f"- {one.setup.name}: {one.settings}." for one in everyone(MODELS["starter"]))
    for model in dict.fromkeys(row["model"] for row in rows.values()):
        if found := {name: row for name in _AMONG_PEERS if (row := rows.get(f"{name} {model}"))}:
            yield from _among_peers(model, found)
    if forms := [row for name in FORMS if (row := rows.get(f"forms {name}"))]:
        yield from _by_form(forms)
    if own := {name: row for name in _OWN_GOALS if (row := rows.get(f"{name} starter"))}:
        yield from _against_itself(own)
    if shaped := [row for name in _SHAPED if (row := rows.get(f"{name} starter"))]:
        yield from _shaped(shaped)
    for name, unit in _GROWTH.items():
        if row := rows.get(f"{name} starter"):
            yield from _growing(row, unit)
    if row := rows.get("api starter"):
        yield from _of_the_api(row)


def _among_peers(model: str, rows: Mapping[str, Row]) -> Iterator[str]:
    ours = next(iter(rows.values()))["ours"]
    peers = list(dict.fromkeys(name for row in rows.values() for name in row["ratios"]))
    yield f"### {model}: each engine, and how many times better ours is"
    head = _head("measure", ours, *peers, "goal, times better")
    yield "\n".join([head, *(_measure(name, row, peers) for name, row in rows.items())])
    if forms := rows.get("perplexity"):
        yield "\n".join(f"- Perplexity: {name}: {note}." for name, note in forms["notes"].items())


def _measure(name: str, row: Row, peers: Iterable[str]) -> str:
    unit = f", {row['unit']}" if row["unit"] else ""
    cells = [f"{row['measure']}{unit} ({_taken(row)})", _number(row["medians"][row["ours"]])]
    for peer in peers:
        ratio = row["ratios"].get(peer)
        cells.append("" if ratio is None else f"{_number(row['medians'][peer])} ({ratio:.2f}x)")
    goals = _GOALS[name].items()
    return _line([*cells, "; ".join(_reached(row, kind, goal) for kind, goal in goals)])


def _reached(row: Row, kind: str, goal: float) -> str:
    if not row.get(kind):
        return ""
    ratio = row["ratios"][row[kind]]
    return f"{goal:.3g} of {_KINDS[kind]}: {_mark(met=ratio >= goal)}"


def _against_itself(rows: Mapping[str, Row]) -> Iterator[str]:
    yield "### Ours against itself"
    lines = [_head("measure", "with", "without", "times better", "goal", "")]
    notes = []
    for name, row in rows.items():
        ours = row["ours"]
        ((other, ratio),) = row["ratios"].items()
        goal = _OWN_GOALS[name]
        lines.append(
            _line(
                [
                    f"{row['measure']}, {row['unit']} ({_taken(row)})",
                    f"{ours}: {_number(row['medians'][ours])}",
                    f"{other}: {_number(row['medians'][other])}",
                    f"{ratio:.2f}",
                    f"at least {goal:g}",
                    _mark(met=ratio >= goal),
                ]
            )
        )
        notes += [f"- {row['measure']}: {note}: {value}." for note, value in row["notes"].items()]
    yield "\n".join(lines)
    if notes:
        yield "\n".join(notes)


def _by_form(rows: Sequence[Row]) -> Iterator[str]:
    """Perplexity in GGUF's formats, a format a line."""
    names = list(rows[0]["medians"])
    yield "### The starter's perplexity in each of GGUF's formats"
    lines = [_head("format", *names, "ours of llama.cpp's", "taken")]
    for row in rows:
        ours, theirs = row["medians"].values()
        form = row["model"].removeprefix("starter-").upper()
        cells = [form, f"{ours:.3f}", f"{theirs:.3f}", f"{ours / theirs:.4f}", row["taken"]]
        lines.append(_line(cells))
    yield "\n".join(lines)


def _shaped(rows: Iterable[Row]) -> Iterator[str]:
    """Answers that a grammar shapes, of the speed of free ones."""
    yield "### Answers shaped by a grammar, tokens/s"
    lines: list[str] = []
    for row in rows:
        lines = lines or [_head("measure", *row["medians"])]
        cells = [f"{row['measure']} ({_taken(row)})"]
        for name, median in row["medians"].items():
            of = f" ({1 / row['ratios'][name]:.2f} of free)" if name in row["ratios"] else ""
            cells.append(f"{_number(median)}{of}")
        lines.append(_line(cells))
    yield "\n".join(lines)


def _growing(row: Row, unit: str) -> Iterator[str]:
    ours, points = row["ours"], row["points"]
    peers = list(dict.fromkeys(name for point in points for name in point["ratios"]))
    date = row.get("taken", "date not kept")
    yield f"### {row['measure'].capitalize()}, {row['unit']} ({date})"
    lines = [_head(unit, "rounds", ours, *peers)]
    for point in points:
        medians, ratios = point["medians"], point["ratios"]
        seen = (
            f"{_number(medians[name])} ({ratios[name]:.2f}x)" if name in ratios else ""
            for name in peers
        )
        cells = (f"{point['size']:,}", f"{point['rounds']}", _number(medians[ours]))
        lines.append(_line([*cells, *seen]))
    yield "\n".join(lines)


def _of_the_api(row: Row) -> Iterator[str]:
    yield f"### {row['measure']} ({_taken(row)})"
    lines = [_head("load", "p50, ms", "p99, ms", "load generator, % of a core", "goals")]
    for load, median in row["medians"].items():
        notes = row["notes"][load]
        slowest = sorted(note["p99, ms"] for note in notes)[len(notes) // 2]
        told = {"p50": median, "p99": slowest}
        goals = (f"{goal:g}: {_mark(met=told[name] <= goal)}" for name, goal in _API_GOALS.items())
        busy = max(int(note["load generator, % of a core"]) for note in notes)
        lines.append(_line([load, f"{median:.2f}", f"{slowest:.2f}", f"{busy}", "; ".join(goals)]))
    yield "\n".join(lines)


def _taken(row: Row) -> str:
    rounds = len(row["values"][row["ours"]])
    return f"{rounds} round{'s' * (rounds > 1)}, {row.get('taken', 'date not kept')}"


def _mark(*, met: bool) -> str:
    return "reached" if met else "missed"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"


def _head(*cells: str) -> str:
    return f"{_line(cells)}\n|{'---|' * len(cells)}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
