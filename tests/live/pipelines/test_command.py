"""``ponant live run`` and its like, as programs beside a server."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from ponant.accounts import Accounts
from ponant.kit import Settings, SystemClock
from ponant.live import LiveClient
from ponant.store import Database, Scope
from tests.live.pipelines.conftest import Workshop
from tests.patience import PATIENCE

_PIPELINE = dedent("""
    from pathlib import Path
    from ponant import live

    @live.transform
    def shout(document):
        if "bad" in document.text and not Path(__file__).with_name("mended").exists():
            raise ValueError("it is bad")
        return document.but(text=document.text.upper())

    live.library("Loud notes", shout(live.folder("notes")))
""")


def _run(home: Path, *arguments: str) -> str:
    """What a command says, with its table's lines as long as they are."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PONANT_")}
    done = subprocess.run(
        [sys.executable, "-m", "ponant", "live", *arguments],
        env=kept | {"PONANT_HOME": str(home), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_raises_is_shown_with_its_source_and_mend_and_brought_through_again(
    tmp_path: Path,
) -> None:
    home, folder = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    (folder / "notes").mkdir(parents=True)
    (folder / "notes/a.md").write_text("good")
    (folder / "notes/b.md").write_text("bad")
    (folder / "pipeline.py").write_text(_PIPELINE)
    scope = _administrator(home)

    async def texts() -> dict[str, str]:
        live = LiveClient(Settings(home=home))
        await live.start()
        try:
            here = Workshop(folder, home, live)
            file = str(here.file)
            drawn = await asyncio.to_thread(_run, home, "run", file, "--once")
            assert _cells(drawn)[:3] == ["folder:notes", "in step", "2"]
            return await here.texts("Loud notes", scope)
        finally:
            await live.close()

    assert asyncio.run(texts()) == {"a.md": "GOOD"}
    shown = _run(home, "pipelines")
    assert "notes b.md: shout: ValueError: it is bad" in shown
    assert "Mend what they name" in shown
    assert "ponant live replay pipeline" in shown
    (folder / "mended").touch()
    assert "1 items are brought through again" in _run(home, "replay", "pipeline")
    assert asyncio.run(texts()) == {"a.md": "GOOD", "b.md": "BAD"}


def _administrator(home: Path) -> Scope:
    database = Database.at(home / "ponant.db")
    database.migrate("ponant")
    first = Accounts(database, SystemClock()).ensure_first(None)
    database.close()
    assert first is not None
    return first.administrator.scope


def _cells(drawn: str) -> list[str]:
    """The table's line of the one source."""
    (line,) = [one for one in drawn.splitlines() if "folder" in one]
    return [cell.strip() for cell in line.strip("│┃ \n").split("│")]
