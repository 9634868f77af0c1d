"""The private folder where the workers' temporary files lie, llama.cpp's socket among them."""

import os
import shutil
import tempfile
from functools import cached_property
from pathlib import Path

import psutil

# A Unix socket's path may have 104 bytes on some systems; below the folder stand 35 more.
_LONGEST_FOLDER = 66


class RunFolder:
    """A folder of this process under ``<home>/run``, made at the first need.

    It lies among the system's temporary files where its path would be too long for a socket.
    What a killed process left under ``<home>/run`` is removed.
    """

    def __init__(self, home: Path) -> None:
        self._all = home / "run"

    @cached_property
    def path(self) -> Path:
        own = self._all / f"models-{os.getpid()}"
        if len(os.fsencode(own)) > _LONGEST_FOLDER:
            return Path(tempfile.mkdtemp(prefix="ponant-"))
        self._all.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in self._all.glob("models-*"):
            number = left.name.removeprefix("models-")
            if not number.isdigit() or not psutil.pid_exists(int(number)):
                shutil.rmtree(left, ignore_errors=True)
        own.mkdir(exist_ok=True, mode=0o700)
        return own

    @property
    def turns(self) -> Path:
        """The file by which workers take turns."""
        return self.path / "turns"

    def remove(self) -> None:
        """Take the folder away; it is made again at the next need."""
        if "path" in self.__dict__:
            shutil.rmtree(self.path, ignore_errors=True)
            del self.path
