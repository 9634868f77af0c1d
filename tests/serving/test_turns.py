"""Turns at the cores: each gets a share, none computes beside another or waits for the dead."""

import subprocess
import sys
import threading
import time
from pathlib import Path

from ponant.serving.turns import Turns

_STEP, _BATCH = 0.004, 0.02
_HOLD = (
    "import sys, time; from pathlib import Path; from ponant.serving.turns import Turns\n"
    "with Turns(Path(sys.argv[1])).{kind}():\n"
    "    print('held', flush=True); time.sleep(60)\n"
)


class Busy:
    """Chat and background work that take turns at sleeping, and tell if they ever overlap."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inside = threading.Lock()
        self.seconds = {"step": 0.0, "batch": 0.0}

    def work(self, kind: str, seconds: float, end: float) -> None:
        turns = Turns(self._path)
        while time.monotonic() < end:
            with getattr(turns, kind)():
                assert self._inside.acquire(blocking=False), "two have the turn"
                begun = time.monotonic()
                time.sleep(seconds)
                self.seconds[kind] += time.monotonic() - begun
                self._inside.release()

    def run(self, seconds: float, **kinds: float) -> None:
        end = time.monotonic() + seconds
        threads = [
            threading.Thread(target=self.work, args=(kind, length, end))
            for kind, length in kinds.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_both_get_their_share(tmp_path: Path) -> None:
    busy = Busy(tmp_path / "turns")
    busy.run(2, step=_STEP, batch=_BATCH)
    ratio = busy.seconds["step"] / busy.seconds["batch"]
    # 2.2 on a quiet machine; without turns, 0.2 or chat alone
    assert 0.5 < ratio < 15


def test_background_work_alone_waits_for_nobody(tmp_path: Path) -> None:
    busy = Busy(tmp_path / "turns")
    busy.run(0.2, step=_STEP)
    busy.run(1, batch=_BATCH)
    assert busy.seconds["batch"] > 0.1


def test_chat_alone_waits_for_nobody(tmp_path: Path) -> None:
    busy = Busy(tmp_path / "turns")
    busy.run(0.2, batch=_BATCH)
    busy.run(1, step=_STEP)
    assert busy.seconds["step"] > 0.1


def test_who_dies_gives_the_turn_back(tmp_path: Path) -> None:
    path = tmp_path / "turns"
    for kind in ("step", "batch"):
        with subprocess.Popen(
            [sys.executable, "-c", _HOLD.format(kind=kind), str(path)], stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            holder.kill()
        for mine in (Turns(path).step, Turns(path).batch):
            with mine():
                pass
