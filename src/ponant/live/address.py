"""Where the live process of a home listens, and whether one runs."""

import hashlib
import os
import tempfile
from pathlib import Path

from ponant.kit.errors import SetupError
from ponant.kit.lock import exclusive

# A Unix socket's path may have 104 bytes on some systems.
_LONGEST = 100


def endpoint(home: Path) -> str:
    """The ZeroMQ endpoint of a home's live process; its folder is made, private.

    Raises:
        SetupError: the folder belongs to somebody else.
    """
    path = home.resolve() / "run" / "live.sock"
    if len(os.fsencode(path)) > _LONGEST:
        name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"ponant-{os.getuid()}-{name}" / "live.sock"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = path.parent.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise SetupError(f"The folder {path.parent} must belong to you alone. Remove it.")
    return f"ipc://{path}"


def lock_file(home: Path) -> Path:
    """Held by the live process as long as it runs."""
    return home.resolve() / "run" / "live.lock"


def is_running(home: Path) -> bool:
    """Whether a live process owns this home."""
    with exclusive(lock_file(home)) as free:
        return not free
