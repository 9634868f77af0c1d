"""`ponant live test` and `record`: a pipeline on recorded input, beside no server."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from ponant.kit.errors import BadRequest
from ponant.live.pipelines import testing
from tests.live.pipelines.conftest import lines
from tests.patience import PATIENCE

_PIPELINE = dedent("""
    from ponant import live

    @live.transform
    def count(document):
        if not document.text:
            raise ValueError("nothing in it")
        return {"path": document.key, "words": len(document.text.split())}

    @live.source(key="id")
    def clicks():
        yield {"id": 1, "moment": "2026-03-01T12:00:00+00:00"}

    live.table("sizes", count(live.folder("notes")), key="path")
    live.table("clicks", clicks)
    live.window("per_10s", over="clicks", time="moment", every="10s", lateness="5s",
                columns={"clicks": "count(*)"})
    live.query("long", "SELECT path FROM sizes WHERE words > 2")
""")


def _run(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PONANT_")}
    return subprocess.run(
        [sys.executable, "-m", "ponant", "live", *arguments],
        env=kept | {"PONANT_HOME": str(home), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_a_case_is_recorded_and_then_compared(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.md").write_text("one two three")
    (tmp_path / "notes/b.md").write_text("")
    file = tmp_path / "pipeline.py"
    file.write_text(_PIPELINE)
    recorded = _run(tmp_path / "home", "record", str(file), "first")
    assert recorded.returncode == 0, recorded.stderr
    case = testing.cases_folder(file) / "first"
    expected = (case / "expected.jsonl").read_text()
    assert '{"row":{"path":"a.md","words":3},"table":"sizes"}' in expected
    assert '"query":"long"' in expected
    assert "nothing in it" in expected
    assert _run(tmp_path / "home", "test", str(file)).returncode == 0
    file.write_text(_PIPELINE.replace("len(document.text.split())", "7"))
    differs = _run(tmp_path / "home", "test", str(file))
    assert differs.returncode == 1
    assert '-{"row":{"path":"a.md","words":3},"table":"sizes"}' in differs.stdout
    assert '+{"row":{"path":"a.md","words":7},"table":"sizes"}' in differs.stdout


def test_recorded_batches_come_in_their_order_so_that_late_rows_are_late(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.py"
    file.write_text(_PIPELINE)
    (tmp_path / "notes").mkdir()
    case = tmp_path / "case"
    case.mkdir()

    def click(number: int, second: int) -> str:
        moment = f"2026-03-01T12:00:{second:02}+00:00"
        return lines({"source": "clicks", "row": {"id": number, "moment": moment}})

    order = [click(1, 3), click(2, 12), click(3, 4), click(4, 40), click(5, 5)]
    (case / "input.jsonl").write_text("\n".join(order))
    made = asyncio.run(
        testing.outcome(testing.load(file), testing.read_lines(case / "input.jsonl"))
    )
    windows = [one for one in made if '"window":"per_10s"' in one]
    assert '{"late":1,"window":"per_10s"}' in windows
    assert any('"clicks":2,"window_start":"2026-03-01T12:00:00Z"' in one for one in windows)


def test_what_cannot_work_is_said_with_its_line(tmp_path: Path) -> None:
    wrongs = {
        "from ponant import live\nlive.nothing()": "line 2",
        "from ponant import live\nx = (": "line 2",
        "from ponant import live": "keeps nothing",
        "from ponant import live\nlive.table('t', live.folder('x'))": "needs a key",
        "from ponant import live\nlive.library('a', live.folder('x'))\nlive.folder('x')": "line 3",
    }
    for number, (text, said) in enumerate(wrongs.items()):
        file = tmp_path / f"wrong{number}.py"
        file.write_text(text)
        with pytest.raises(BadRequest, match=said):
            testing.load(file)
    answer = _run(tmp_path / "home", "run", str(tmp_path / "wrong0.py"))
    assert answer.returncode != 0
    assert "line 2" in answer.stderr
    assert "Traceback" not in answer.stderr
