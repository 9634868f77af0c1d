"""Names a model by what its files hold, reading each file once."""

import os
import tempfile
from contextlib import suppress
from hashlib import file_digest, sha256
from pathlib import Path

_NAME_LENGTH = 64


def model_hash(path: Path, cache: Path | None = None) -> str:
    """SHA-256 of a file, or of all files of a folder with their names.

    Args:
        cache: a folder that remembers the hashes of files by their place, size, inode and time of
            change, for a large file takes as long to hash as to load; None remembers nothing.
    """
    if path.is_dir():
        parts = sorted(file for file in path.rglob("*") if file.is_file())
        names = "".join(f"{part.relative_to(path)} {model_hash(part, cache)}\n" for part in parts)
        return sha256(names.encode()).hexdigest()
    if cache is None:
        return _digest(path)
    note = cache / _note(path)
    with suppress(OSError, UnicodeDecodeError):
        known = note.read_text(encoding="ascii")
        if len(known) == _NAME_LENGTH:
            return known
    found = _digest(path)
    with suppress(OSError):  # it is hashed again next time
        _write(note, found)
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _note(path: Path) -> str:
    status = path.stat()
    seen = (path.resolve(), status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    return f"{sha256('|'.join(map(str, seen)).encode()).hexdigest()[:24]}.sha256"


def _write(note: Path, text: str) -> None:
    """Write a note so that a reader sees all of it or none."""
    note.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=note.parent)
    with os.fdopen(number, "w", encoding="ascii") as file:
        file.write(text)
    Path(name).replace(note)
