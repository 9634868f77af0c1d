"""Linux's own file events (inotify(7)): told within a millisecond, and free while nothing happens.

A file that is being written is told of when it is closed, or soon after where it stays open, so
that halves of files are rarely read.
"""

import asyncio
import ctypes
import os
import struct
import sys
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

_MODIFY, _ATTRIB, _CLOSE_WRITE = 0x2, 0x4, 0x8
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _OVERFLOW, _IGNORED = 0x400, 0x800, 0x4000, 0x8000
_ONLY_FOLDERS, _FOLLOW_NO_LINK, _IS_FOLDER = 0x1000000, 0x2000000, 0x40000000
_ENDS = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _DELETE  # what leaves a file as it is then
_WANTED = _ENDS | _MODIFY | _ATTRIB | _CREATE | _DELETE_SELF | _MOVE_SELF
_EVENT = struct.Struct("iIII")
_OPEN_SECONDS = 0.05  # a file that stays open is told of after so long

IS_THERE = sys.platform == "linux"


class Watch:
    """The events of one folder and all that are in it; hidden ones are passed over.

    Raises:
        OSError: the folder is not there, or the system has no watches left.
    """

    def __init__(self, root: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._root = root
        self._folders: dict[int, Path] = {}
        self._handle = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), root)
        try:
            self._add(root)
        except BaseException:
            os.close(self._handle)
            raise

    async def changes(self) -> AsyncGenerator[set[str]]:
        """Yield places, relative to the folder, as they change; "" is anything.

        Raises:
            FileNotFoundError: the folder itself went.
            OSError: the system has no watches left for a folder that came.
        """
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        opened: dict[str, float] = {}  # until when their writers may take
        loop.add_reader(self._handle, woken.set)
        try:
            while True:
                pause = min(opened.values()) - loop.time() if opened else None
                try:
                    async with asyncio.timeout(pause):
                        await woken.wait()
                except TimeoutError:
                    pass
                woken.clear()
                ready = self._read(opened, loop.time() + _OPEN_SECONDS)
                ready |= {path for path, until in opened.items() if until <= loop.time()}
                for path in ready:
                    opened.pop(path, None)
                if ready:
                    yield ready
        finally:
            loop.remove_reader(self._handle)
            os.close(self._handle)

    def _read(self, opened: dict[str, float], until: float) -> set[str]:
        """Places that may be read now; those that are still written to join ``opened``."""
        ready: set[str] = set()
        for folder, mask, name in self._events():
            if mask & _OVERFLOW:
                ready.add("")
            elif mask & (_DELETE_SELF | _MOVE_SELF) and folder == self._root:
                raise FileNotFoundError(self._root)
            elif name and not name.startswith("."):
                path = (folder / name).relative_to(self._root).as_posix()
                if mask & _IS_FOLDER:
                    self._follow(folder / name, mask)
                if mask & (_ENDS | _IS_FOLDER):
                    ready.add(path)
                else:
                    opened.setdefault(path, until)
        return ready

    def _events(self) -> Iterator[tuple[Path, int, str]]:
        try:
            data = os.read(self._handle, 1 << 16)
        except BlockingIOError:
            return
        offset = 0
        while offset < len(data):
            number, mask, _, length = _EVENT.unpack_from(data, offset)
            offset += _EVENT.size
            name = os.fsdecode(data[offset : offset + length].rstrip(b"\0"))
            offset += length
            if mask & _IGNORED:
                self._folders.pop(number, None)
            elif mask & _OVERFLOW or number in self._folders:
                yield self._folders.get(number, self._root), mask, name

    def _follow(self, folder: Path, mask: int) -> None:
        """Watch a folder that came, and no longer one that was moved away."""
        if mask & (_CREATE | _MOVED_TO):
            self._add(folder)
        elif mask & _MOVED_FROM:
            gone = [one for one, path in self._folders.items() if path.is_relative_to(folder)]
            for number in gone:
                self._libc.inotify_rm_watch(self._handle, number)
                del self._folders[number]

    def _add(self, root: Path) -> None:
        for name, folders, _ in os.walk(root):
            folders[:] = [one for one in folders if not one.startswith(".")]
            try:
                number = self._checked(
                    self._libc.inotify_add_watch(
                        self._handle, os.fsencode(name), _WANTED | _ONLY_FOLDERS | _FOLLOW_NO_LINK
                    ),
                    Path(name),
                )
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                if Path(name) == self._root:
                    raise
                continue  # it went meanwhile, or is not for us
            self._folders[number] = Path(name)
        if root == self._root and not self._folders:
            raise FileNotFoundError(root)

    def _checked(self, result: int, path: Path) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
        return result
