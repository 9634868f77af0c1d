"""Looks at a folder: which files are there, whether they changed, and what they hold."""

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ponant.live.reading.parsing import (
    LARGEST_FILE,
    MEDIA_TYPES,
    UnreadableDocument,
    too_large,
)
from ponant.live.sources.port import Content

_SETTLED_NS = 20_000_000  # a later write within the file system's tick would look the same


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as the file system describes it; equal signatures mean an unchanged file."""

    path: str  # relative to the folder, with forward slashes
    size: int
    signature: str


@dataclass(frozen=True, slots=True)
class Scan:
    """What a folder holds now."""

    files: dict[str, Seen]
    others: int  # files of kinds that are not read
    faults: tuple[str, ...]  # what inside cannot be read, and why
    links: dict[str, list[str]] = field(default_factory=dict)  # by the file that they lead to


def scan(root: Path, is_private: Callable[[Path], bool]) -> Scan:
    """Walk a folder; hidden files and private places are passed over.

    A symbolic link to a file inside the folder is that file under another name; one that leads out
    of it is told of as a fault, and links to folders are passed over.

    Raises:
        OSError: the folder itself is not there or cannot be read.
    """
    files: dict[str, Seen] = {}
    faults: list[str] = []
    links: dict[str, list[str]] = {}
    others, prefix = 0, len(str(root).rstrip("/")) + 1
    for entry in _walk(root, is_private, faults):
        if _suffix(entry.name) not in MEDIA_TYPES:
            others += not entry.is_symlink()
            continue
        path = entry.path[prefix:]
        try:
            if entry.is_symlink():
                target = _target(root, Path(entry.path), is_private)
                links.setdefault(str(target)[prefix:], []).append(path)
                files[path] = _linked(path, Path(entry.path), target)
            else:
                files[path] = _regular(path, entry.stat(follow_symlinks=False))
        except _LeadsOut:
            faults.append(f"{path} is a link that leads out of the folder; put the file there")
        except OSError:
            continue  # gone since it was listed
    return Scan(files, others, tuple(faults), links)


def still_there(
    root: Path, is_private: Callable[[Path], bool], paths: Iterable[str]
) -> dict[str, Seen]:
    """Those of some places that hold a file now, though a walk did not come upon them.

    A system's list of a folder may leave out a name that is replaced while the list is made
    (readdir, POSIX.1-2017), so that a walk alone does not tell that a file is gone.
    """
    found: dict[str, Seen] = {}
    for path in paths:
        full = root / path
        if is_private(full) or not _has_no_link(root, full):
            continue
        try:
            status = full.lstat()
            if stat.S_ISLNK(status.st_mode):
                found[path] = _linked(path, full, _target(root, full, is_private))
            elif stat.S_ISREG(status.st_mode):
                found[path] = _regular(path, status)
        except (OSError, _LeadsOut):
            continue
    return found


class _LeadsOut(Exception):
    """A symbolic link to a place that is not to be read."""


def _target(root: Path, link: Path, is_private: Callable[[Path], bool]) -> Path:
    """The file that a symbolic link leads to.

    Raises:
        OSError: it leads nowhere, or to no file.
        _LeadsOut: it leads out of the folder, or to a place in it that is not read.
    """
    try:
        real = link.resolve(strict=True)
    except RuntimeError as e:  # a loop of links
        raise FileNotFoundError(link) from e
    if not real.is_relative_to(root) or is_private(real):
        raise _LeadsOut
    if not real.is_file():
        raise FileNotFoundError(real)
    return real


def _regular(path: str, status: os.stat_result) -> Seen:
    return Seen(path, status.st_size, signature(status))


def _linked(path: str, link: Path, target: Path) -> Seen:
    status = target.stat()
    return Seen(path, status.st_size, f"{_of_link(link)}{signature(status)}")


def _of_link(link: Path) -> str:
    """What of a signature tells that a link was made anew."""
    status = link.lstat()
    return f"{status.st_ino}.{status.st_ctime_ns}>"


def glance(
    root: Path, is_private: Callable[[Path], bool], paths: Iterable[str]
) -> dict[str, Seen | None] | None:
    """A few places of a folder, each with its file or None where there is none that is read.

    Returns:
        None where only a walk over everything can tell, since a folder came or cannot be read.
    """
    found: dict[str, Seen | None] = {}
    for path in paths:
        full = root / path
        try:
            status = full.lstat()
        except FileNotFoundError:
            found[path] = None
            continue
        except OSError:
            return None
        if stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode):
            return None
        regular = stat.S_ISREG(status.st_mode) and _suffix(path) in MEDIA_TYPES
        shown = regular and not is_private(full) and _is_text(path) and _has_no_link(root, full)
        found[path] = _regular(path, status) if shown else None
    return found


def _has_no_link(root: Path, full: Path) -> bool:
    """Whether a walk would come to a place, since no folder on the way is a symbolic link."""
    return not any(parent.is_symlink() for parent in full.parents if parent.is_relative_to(root))


def _walk(
    root: Path, is_private: Callable[[Path], bool], faults: list[str]
) -> Iterator["os.DirEntry[str]"]:
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as e:
            if folder == root:
                raise
            faults.append(f"{folder.relative_to(root)}: {e.strerror}; let Ponant read it")
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if not _is_text(entry.name):
                faults.append("a name that is not text; rename the file")
                continue
            if entry.is_dir(follow_symlinks=False):
                if not is_private(Path(entry.path)):
                    folders.append(Path(entry.path))
            elif entry.is_file(follow_symlinks=False) or entry.is_symlink():
                yield entry


def read(root: Path, path: str, is_private: Callable[[Path], bool] | None = None) -> Content:
    """Read a file of a folder, and nothing outside it.

    Args:
        is_private: which places are not read even where a link leads there; None follows no links.

    Raises:
        FileNotFoundError: it is gone, or is no file any more.
        UnreadableDocument: it may not be read, or is too large.
    """
    full, link = root / path, ""
    if is_private is not None and full.is_symlink():
        try:
            link, full = _of_link(full), _target(root, full, is_private)
        except _LeadsOut as e:
            raise FileNotFoundError(full) from e
    try:
        handle = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as e:
        raise UnreadableDocument(
            f"The file cannot be read: {e.strerror}. Let Ponant read it."
        ) from e
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or not _is_inside(root, full, status):
            raise FileNotFoundError(full)
        if link and (full.resolve() != full or _of_link(root / path) != link):
            raise FileNotFoundError(full)  # another place by now; the next look sees it
        if status.st_size > LARGEST_FILE:
            raise too_large("file", status.st_size)
        begun = time.time_ns()
        data = file.read(LARGEST_FILE + 1)
        after = os.fstat(handle)
    settled = signature(after) == signature(status) and begun - after.st_ctime_ns > _SETTLED_NS
    return Content.of(data, f"{link}{signature(after)}" if settled else "")


def signature(status: os.stat_result) -> str:
    """What changes whenever a file does, at the latest with its next inode change."""
    return f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


def media_type(name: str) -> str | None:
    """How a file of this name is read; None for kinds that are not."""
    return MEDIA_TYPES.get(_suffix(name))


def _is_text(name: str) -> bool:
    """Whether a file name is one that can be shown and stored."""
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that the file system's encoding has no signs for
        return False
    return True


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - called for every file of a walk


def _is_inside(root: Path, full: Path, status: os.stat_result) -> bool:
    """Whether the opened file still lies in the folder once every link on the way is followed."""
    real = full.resolve()
    try:
        there = real.stat()
    except OSError:
        return False
    same = (there.st_dev, there.st_ino) == (status.st_dev, status.st_ino)
    return same and real.is_relative_to(root)
