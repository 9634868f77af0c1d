"""Checks and moves of large files that leave nothing half done."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ponant.kit.errors import StorageFull

Report = Callable[[str, int, int], None]
"""Called with what is being done, bytes done and bytes in all."""

_RESERVE = 256 << 20  # bytes left free for the database and the system


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_space(folder: Path, size: int, what: str) -> None:
    """Check that ``size`` more bytes fit on the disk of ``folder``.

    Raises:
        StorageFull: they do not; nothing has been written.
    """
    free = shutil.disk_usage(folder).free
    if size + _RESERVE > free:
        raise StorageFull(
            f"{what} needs {megabytes(size)} and {folder} has {megabytes(free)} free. Free some "
            "space, or set PONANT_HOME to a folder on a larger disk."
        )


def megabytes(size: int) -> str:
    """A size as people read it."""
    return f"{size / 1e9:.1f} GB" if size >= 1_000_000_000 else f"{max(size / 1e6, 0.1):.1f} MB"


def settle(staged: Path, target: Path) -> None:
    """Move a finished folder into its place, on disk before it can be seen there."""
    for path in [*staged.rglob("*"), staged]:
        _flush(path)
    if target.exists():
        old = target.with_name(f".old-{target.name}")
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        staged.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        staged.rename(target)
    _flush(target.parent)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
