"""A transform that hangs, or takes its process with it, costs its document and nothing else."""

import asyncio
from typing import Any

import pytest

from ponant.kit.errors import BadRequest
from ponant.live.pipelines.declared import LONGEST_CALL
from ponant.live.pipelines.declaring import transform
from ponant.live.pipelines.watching import replay

_HANGING = """
    import os
    import re
    import time
    from pathlib import Path
    from ponant import live

    MENDED = Path(__file__).with_name("mended")

    @live.transform(timeout="2s")
    def shout(document):
        if not MENDED.exists():
            if "greedy" in document.text:
                re.match(r"(a+)+$", "a" * 60 + "b")  # keeps the interpreter to itself
            if "last" in document.text:
                os._exit(3)
        return document.but(text=document.text.upper())

    @live.transform(timeout="2s")
    async def whisper(document):
        if "asleep" in document.text and not MENDED.exists():
            time.sleep(600)  # keeps the loop to itself
        return document.but(text=document.text.lower())

    live.library("Loud notes", shout(live.folder("notes")))
    live.library("Soft notes", whisper(live.folder("others")))
"""


def test_what_hangs_or_ends_its_process_fails_alone_and_can_be_replayed(workshop: Any) -> None:
    async def check() -> None:
        async with workshop() as here:
            for name in ("greedy", "last", "one", "two"):
                here.write(f"notes/{name}.md", name)
            for name in ("ASLEEP asleep", "THREE"):
                here.write(f"others/{name[:5]}.md", name)
            here.write("pipeline.py", _HANGING)
            await here.once()
            assert await here.texts("Loud notes") == {"one.md": "ONE", "two.md": "TWO"}
            assert await here.texts("Soft notes") == {"THREE.md": "three"}
            memory = here.memory()
            reasons = {one.key: one.reason for one in memory.failures()}
            assert sorted(reasons) == ["ASLEE.md", "greedy.md", "last.md"]
            assert "it ended its process" in reasons["last.md"]
            for name in ("ASLEE.md", "greedy.md"):
                assert "took longer than 2 seconds" in reasons[name]
                assert "ponant live replay pipeline" in reasons[name]
            here.write("mended", "")
            assert replay(here.home, "pipeline") == 3
            await here.once()
            assert len(await here.texts("Loud notes")) == 4
            assert len(await here.texts("Soft notes")) == 2
            assert memory.failures() == []
            memory.close()

    asyncio.run(check())


def test_what_is_made_without_a_word_has_a_limit_and_nonsense_is_refused() -> None:
    assert transform(len).timeout == LONGEST_CALL
    assert transform(timeout="5m")(len).timeout == 300
    for wrong in (0, -1, "inf"):
        with pytest.raises(BadRequest):
            transform(timeout=wrong)
