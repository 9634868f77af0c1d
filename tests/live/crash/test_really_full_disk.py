"""A small disk that is filled to its last block, in a name space of a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE

_MOUNT = 'mount -t tmpfs -o size=24m none "$1" && shift && exec "$@"'


def _apart(home: Path, *command: str) -> list[str]:
    """A command that sees a disk of 24 MiB where the home is."""
    own = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--mount", "-U", "-r"]
    return [*own, "sh", "-c", _MOUNT, "sh", str(home), *command]


def test_what_was_known_answers_and_it_goes_on_once_there_is_room(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "docs"
    home.mkdir()
    folder.mkdir()
    if subprocess.run(_apart(home, "true"), check=False, capture_output=True).returncode:
        pytest.skip("no disk may be mounted here, not even for one process")
    module = [sys.executable, "-m", "tests.live.crash.full_disk_process", str(home), str(folder)]
    ended = subprocess.run(
        _apart(home, *module), check=False, capture_output=True, text=True, timeout=2 * PATIENCE
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert list(home.iterdir()) == []  # it all lay on the small disk
