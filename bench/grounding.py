"""How well answers from passages hold: right, cited right, and silent where nothing answers.

    .venv/bin/python bench/grounding.py [--model starter] [--home .models-cache] [--only WORD]

Every question comes with two or three passages, of which one answers or none does. It prints each
answer and a table, and writes bench/results/grounding.json. The bounds in
`ponant.assistant.grounding` were set on the cases "tuned on"; the cases "checked on" were written
after them, and showed faults that were then mended.
"""

import argparse
import asyncio
import json
import re
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ponant.assistant.arranging import Arrangement
from ponant.assistant.grounding import GroundedAnswer, Judge, Material, select
from ponant.engine import Sampling
from ponant.hub import Catalogue
from ponant.kit import Settings, SystemClock
from ponant.live.port import Hit
from ponant.serving import Models, Upstreams
from ponant.serving.port import Controls, TextModel
from ponant.store import Database, Scope
from ponant.text.messages import Message, Role

_HERE = Path(__file__).parent
_CASES = _HERE / "grounding_cases.json"
_RESULTS = _HERE / "results" / "grounding.json"
_CITED = re.compile(r"\[(\d+)\]")
_NOWHERE = Scope("org_bench", "ws_bench", "person_bench")


async def main() -> None:
    given = _arguments()
    known = json.loads(_CASES.read_text())
    cases = [case for case in known["cases"] if given.only in case["question"]]
    async with _models(given.home) as models:
        model = await models.get(given.model, _NOWHERE)
        judge = Judge(await models.embedder())
        rows = [await _ask(case, known["documents"], model, judge) for case in cases]
    sums = {name: _sums([row for row in rows if row["set"] == name]) for name in _sets(rows)}
    _RESULTS.parent.mkdir(exist_ok=True)
    _RESULTS.write_text(json.dumps({"model": given.model, "sums": sums, "rows": rows}, indent=1))
    _print(rows, sums)


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--model", default="starter")
    arguments.add_argument("--home", type=Path, default=_HERE.parent / ".models-cache")
    arguments.add_argument("--only", default="", help="ask only questions with this text")
    given = arguments.parse_args()
    given.home = given.home.resolve()
    return given


@asynccontextmanager
async def _models(home: Path) -> AsyncIterator[Models]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder))
        (settings.home / "models").symlink_to(home / "models")
        database = Database.at(settings.home / "ponant.db")
        database.migrate("ponant")
        upstreams = Upstreams(database, SystemClock(), settings)
        models = Models(settings, Catalogue(settings.home), upstreams)
        try:
            yield models
        finally:
            await models.close()
            database.close()


async def _ask(
    case: dict[str, Any], documents: dict[str, str], model: TextModel, judge: Judge
) -> dict[str, Any]:
    hits = [_hit(name, documents[name]) for name in case["passages"]]
    started = time.monotonic()
    evidence = Arrangement().arranged(await select(case["question"], hits, judge))
    selected = time.monotonic()
    material = Material(
        messages=(Message(role=Role.USER, content=case["question"]),),
        question=case["question"],
        evidence=tuple(evidence),
        controls=Controls(sampling=Sampling(temperature=0.0)),
    )
    text, tokens = "", 0
    async for delta in GroundedAnswer(model, judge, material).deltas():
        text += delta.text
        tokens = delta.usage.prompt_tokens if delta.usage else tokens
    cites = sorted({int(number) for number in _CITED.findall(text)})
    says = case["answer"] is None or re.search(case["answer"], text) is not None
    return {
        **case,
        "said": text,
        "cited": cites,
        "says": says,
        "right": says and cites == case["cites"],
        "silent": not cites,
        "prompt_tokens": tokens,
        "select_seconds": round(selected - started, 2),
        "answer_seconds": round(time.monotonic() - selected, 2),
    }


def _hit(name: str, text: str) -> Hit:
    return Hit(
        passage_id=f"psg_{name}",
        hash=name,
        library_id="lib_bench",
        document_id=f"doc_{name}",
        document_name=name,
        document_version=1,
        text=text,
        start=0,
        end=len(text),
        heading="",
        score=1.0,
        keyword_rank=None,
        vector_rank=None,
    )


def _sets(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["set"] for row in rows))


def _sums(rows: list[dict[str, Any]]) -> dict[str, Any]:
    answered = [row for row in rows if row["answer"] is not None]
    empty = [row for row in rows if row["answer"] is None]
    second = [row for row in answered if row["cites"] == [2]]
    wrong = [row for row in rows if not row["right"] and not row["silent"]]
    return {
        "answerable": len(answered),
        "answered and cited right": sum(row["right"] for row in answered),
        "only passage 2 answers": len(second),
        "exactly 2 cited": sum(row["cited"] == [2] for row in second),
        "said that the documents do not": sum(row["silent"] for row in answered),
        "unanswerable": len(empty),
        "unanswerable, and nothing cited": sum(row["silent"] for row in empty),
        "wrong with a citation": len(wrong),
        "median seconds": sorted(row["select_seconds"] + row["answer_seconds"] for row in rows)[
            len(rows) // 2
        ],
        "longest prompt": max(row["prompt_tokens"] for row in rows),
    }


def _print(rows: list[dict[str, Any]], sums: dict[str, dict[str, Any]]) -> None:
    console = Console()
    for row in rows:
        mark = "  " if row["right"] else "✗ "
        console.print(f"{mark}{row['question']}\n     {row['said']!r}", markup=False)
    table = Table("measure", *sums)
    for measure in next(iter(sums.values()), {}):
        table.add_row(measure, *(str(column[measure]) for column in sums.values()))
    console.print(table)


if __name__ == "__main__":
    asyncio.run(main())
