"""Keeps pages of the key-value cache on disk, so that a document's survive a restart.

A page lies in a file of its own, named by a digest that is keyed with a random secret of the
folder: names tell nothing about contents. A file begins with a seal over its name and contents,
keyed likewise, so that one that is damaged, cut short, renamed or foreign is found out, ignored
and removed. Behind the seal stand the tags that the page must be dropped with, as keyed digests,
too. One thread writes and one reads; the engine's step only copies the bytes of pages that it
saves.
"""

import hashlib
import logging
import os
import queue
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from ponant.engine.page_store import Reading

_MAGIC: Final = b"ponantk2"
_SEAL_BYTES: Final = 32
_COUNT_BYTES: Final = 2
_TAG_BYTES: Final = 16
_MOST_TAGS: Final = 2 ** (8 * _COUNT_BYTES) - 1
_NAME_BYTES: Final = 20
_SECRET_BYTES: Final = 32
_KEY_FILE: Final = "key"
_SUFFIX: Final = ".page"
_UNWRITTEN_BYTES: Final = 128 << 20  # most that waits for the disk; more is not saved

_logger: Final = logging.getLogger(__name__)


class PageMemory(Protocol):
    """Where pages are while they are in use: the part of a `Decoder` that is needed here."""

    def read_page(self, page: int) -> bytes: ...

    def write_page(self, page: int, data: bytes) -> None: ...


@dataclass(slots=True)
class _Fetch:
    """Pages to read, with their digests: see `Reading`."""

    wanted: list[tuple[bytes, int]]
    filled: list[frozenset[str]] = field(default_factory=list)
    stopped: bool = False
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def done(self) -> bool:
        return self.over.is_set()

    @property
    def found(self) -> Sequence[frozenset[str]]:
        return () if self.stopped else self.filled

    def stop(self) -> None:
        self.stopped = True


class Spill:
    """A `PageStore` on disk, for the engine's thread alone.

    Args:
        folder: made with access for its owner alone; one process at a time uses it.
        memory: what pages are read from and written to.
        most_bytes: of all files together; the least recently used go first.

    Attributes:
        saved: pages taken so far.
        loaded: pages given back so far.

    Raises:
        OSError: the folder cannot be made or read.
    """

    def __init__(self, folder: Path, memory: PageMemory, most_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        self.saved = self.loaded = 0
        self._folder = folder
        self._memory = memory
        self._most_bytes = most_bytes
        self._secret = _secret(folder)
        self._lock = threading.Lock()
        self._files = _files(folder)  # sizes by name, least recently used first
        self._bytes = sum(self._files.values())
        self._tagged: dict[str, set[str]] = {}  # names of pages by their tags
        self._tags: dict[str, tuple[str, ...]] = {}  # tags by names of pages
        for name in list(self._files):
            self._note(name, _tags_in(self._path(name)))
        self._unwritten: dict[str, tuple[bytes, tuple[str, ...]]] = {}
        self._unwritten_bytes = 0
        self._trim()
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._wanted: queue.Queue[_Fetch | None] = queue.Queue()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._write_all, name="kv-spill", daemon=True),
            threading.Thread(target=self._read_all, name="kv-fetch", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def __contains__(self, digest: bytes) -> bool:
        name = self._name(digest)
        with self._lock:
            return name in self._files or name in self._unwritten

    def save(self, digest: bytes, page: int, tags: frozenset[str] = frozenset()) -> bool:
        """Take a copy of a page to write it soon; False where too much waits for the disk."""
        name = self._name(digest)
        kept = tuple(sorted(tags))
        if len(kept) > _MOST_TAGS:
            return True  # not kept, since it could not be dropped with what it holds
        with self._lock:
            if name in self._unwritten:
                return True
            if self._unwritten_bytes > _UNWRITTEN_BYTES:
                return False
        data = self._memory.read_page(page)
        with self._lock:
            self._unwritten[name] = (data, kept)
            self._unwritten_bytes += len(data)
            self._note(name, kept)
        self._queue.put(name)
        self.saved += 1
        return True

    def fetch(self, digests: Sequence[bytes], pages: Sequence[int]) -> Reading:
        """Fill pages with what was saved, in a thread, up to the first that cannot be had."""
        fetch = _Fetch(list(zip(digests, pages, strict=True)))
        self._wanted.put(fetch)
        return fetch

    def _read_all(self) -> None:
        while (fetch := self._wanted.get()) is not None:
            try:
                for digest, page in fetch.wanted:
                    if fetch.stopped or self._closed:
                        break
                    if (tags := self._load(digest, page)) is None:
                        break
                    fetch.filled.append(frozenset(tags))
            except Exception:  # what is not there is computed
                _logger.exception("pages of the cache cannot be read")
            finally:
                fetch.over.set()

    def _load(self, digest: bytes, page: int) -> Sequence[str] | None:
        """Fill a page with what was saved; a file that cannot be trusted is removed.

        Returns the tags that it was saved with; None where it cannot be had.
        """
        name = self._name(digest)
        with self._lock:
            unwritten = self._unwritten.get(name)
        try:
            data, tags = self._read(name) if unwritten is None else unwritten
            self._memory.write_page(page, data)
        except (OSError, ValueError) as e:
            _logger.warning("a page of the cache on disk is not usable: %s", e)
            self._remove(name)
            return None
        self.loaded += 1
        return tags

    def mark(self, name: str) -> str:
        """A keyed digest, so that a page's file does not tell what its tags say."""
        return hashlib.blake2b(name.encode(), key=self._secret, digest_size=_TAG_BYTES).hexdigest()

    def forget(self, marks: Iterable[str]) -> None:
        """Remove every page that was saved with one of these tags, written or not."""
        with self._lock:
            pages = {page for mark in marks for page in self._tagged.pop(mark, ())}
            for page in pages & self._unwritten.keys():
                data, _ = self._unwritten.pop(page)
                self._unwritten_bytes -= len(data)
        for page in pages:
            self._remove(page)

    def close(self) -> None:
        """Write what is still to be written, and read no more."""
        self._closed = True
        self._queue.put(None)
        self._wanted.put(None)
        for thread in self._threads:
            thread.join()

    def _name(self, digest: bytes) -> str:
        return hashlib.blake2b(digest, key=self._secret, digest_size=_NAME_BYTES).hexdigest()

    def _note(self, name: str, tags: tuple[str, ...]) -> None:
        if tags:
            self._tags[name] = tags
        for tag in tags:
            self._tagged.setdefault(tag, set()).add(name)

    def _seal(self, name: str, contents: bytes) -> bytes:
        seal = hashlib.blake2b(name.encode(), key=self._secret, digest_size=_SEAL_BYTES)
        seal.update(contents)
        return seal.digest()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"

    def _read(self, name: str) -> tuple[bytes, tuple[str, ...]]:
        """The page in a file, and its tags.

        Raises:
            OSError: it cannot be read.
            ValueError: it is not what was written under that name.
        """
        path = self._path(name)
        whole = path.read_bytes()
        head = len(_MAGIC) + _SEAL_BYTES
        if whole[:head] != _MAGIC + self._seal(name, whole[head:]):
            raise ValueError(f"{path.name} is damaged")
        tags, page = _parted(whole[head:])
        os.utime(path)
        with self._lock:
            if name in self._files:
                self._files.move_to_end(name)
        return page, tags

    def _remove(self, name: str) -> None:
        with self._lock:
            self._bytes -= self._files.pop(name, 0)
            for tag in self._tags.pop(name, ()):
                self._tagged.get(tag, set()).discard(name)
        self._path(name).unlink(missing_ok=True)

    def _write_all(self) -> None:
        while (name := self._queue.get()) is not None:
            with self._lock:
                waiting = self._unwritten.get(name)
            if waiting is None:
                continue  # forgotten meanwhile
            try:
                self._write(name, *waiting)
            except OSError as e:
                _logger.warning("a page of the cache cannot be written to disk: %s", e)
            with self._lock:
                forgotten = self._unwritten.pop(name, None) is None
                self._unwritten_bytes -= 0 if forgotten else len(waiting[0])
            if forgotten:
                self._remove(name)

    def _write(self, name: str, data: bytes, tags: tuple[str, ...]) -> None:
        named = b"".join(map(bytes.fromhex, tags))
        contents = len(tags).to_bytes(_COUNT_BYTES, "little") + named + data
        whole = _MAGIC + self._seal(name, contents) + contents
        if len(whole) > self._most_bytes:
            return
        path = self._path(name)
        _write_private(path.with_suffix(".new"), whole)
        path.with_suffix(".new").replace(path)
        with self._lock:
            self._bytes += len(whole) - self._files.pop(name, 0)
            self._files[name] = len(whole)
        self._trim()

    def _trim(self) -> None:
        while self._bytes > self._most_bytes:
            with self._lock:
                oldest = next(iter(self._files))
            self._remove(oldest)


def _tags_in(path: Path) -> tuple[str, ...]:
    """The tags that a file names; one that is cut short is found out when it is read."""
    with path.open("rb") as file:
        file.seek(len(_MAGIC) + _SEAL_BYTES)
        count = file.read(_COUNT_BYTES)
        return _parted(count + file.read(int.from_bytes(count, "little") * _TAG_BYTES))[0]


def _parted(contents: bytes) -> tuple[tuple[str, ...], bytes]:
    """The tags at the beginning of a file's contents, and the page behind them."""
    count = int.from_bytes(contents[:_COUNT_BYTES], "little")
    end = _COUNT_BYTES + count * _TAG_BYTES
    starts = range(_COUNT_BYTES, end, _TAG_BYTES)
    return tuple(contents[at : at + _TAG_BYTES].hex() for at in starts), contents[end:]


def _secret(folder: Path) -> bytes:
    """The folder's secret, made at the first time; without the right one no file is usable."""
    path = folder / _KEY_FILE
    if path.is_file() and len(found := path.read_bytes()) == _SECRET_BYTES:
        return found
    path.unlink(missing_ok=True)
    made = secrets.token_bytes(_SECRET_BYTES)
    _write_private(path, made)
    return made


def _files(folder: Path) -> OrderedDict[str, int]:
    """Sizes of the pages in the folder, least recently used first; others' files are removed."""
    found: list[tuple[float, str, int]] = []
    for path in folder.iterdir():
        if path.name == _KEY_FILE:
            continue
        if path.suffix != _SUFFIX or path.is_symlink() or not path.is_file():
            if not path.is_dir() or path.is_symlink():
                path.unlink(missing_ok=True)
            continue
        told = path.stat()
        found.append((told.st_mtime, path.stem, told.st_size))
    return OrderedDict((name, size) for _, name, size in sorted(found))


def _write_private(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "wb") as out:
        out.write(data)
