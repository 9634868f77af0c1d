"""The small handbook that ships with Ponant, copied to where it may be edited."""

import os
import shutil
from importlib.resources import files
from pathlib import Path

from ponant.live.sources.roots import SAMPLES


def copy_sample(home: Path, workspace_id: str) -> Path:
    """The workspace's copy of the sample; made at the first call and left alone afterwards."""
    target = home.resolve() / SAMPLES / workspace_id / "handbook"
    if target.is_dir():
        return target
    draft = target.with_name(f".{target.name}-{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)  # what a crash left
    draft.mkdir(parents=True, mode=0o700)
    for entry in files("ponant.live").joinpath("sample").iterdir():
        if entry.is_file() and not entry.name.startswith(("_", ".")):
            (draft / entry.name).write_bytes(entry.read_bytes())
    draft.rename(target)
    return target
