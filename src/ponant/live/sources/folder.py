"""A folder: events say at once that something changed, a periodic look misses nothing."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path

import msgspec
from watchfiles import Change, awatch

from ponant.live.reading.parsing import UnreadableDocument
from ponant.live.sources import files, inotify, mounts
from ponant.live.sources.files import Scan, Seen
from ponant.live.sources.kind import Aside, Context, Kind, Secrets
from ponant.live.sources.port import Batch, Content, Cursor, Found, Gone, SourceFault
from ponant.live.sources.roots import private_inside

_RESCAN_SECONDS = 5.0
_RESCAN_SHARE = 0.02  # of one core at most goes into looking again
_RESCAN_SHARE_TOLD = 0.005  # where events tell of changes, and looks only mend what they missed
_EVENT_STEP = 5  # milliseconds without another event before the first are told
_EVENT_DEBOUNCE = 50  # milliseconds that events are held back at most
_RETRY_SECONDS = 0.5  # while a folder is missing or cannot be read
_REWATCH_SECONDS = 60.0  # where the system had no watches to give
_MOST_HINTS = 200  # with more events at once, a look at everything is no dearer
_MOST_NAMED = 3  # places that cannot be read, of which a source's state tells one by one
_MOST_NEWER = 8  # changed files that may be taken in before the rest of a look
_MOST_AHEAD = 8  # changed files that are read with the look at them
_LARGEST_AHEAD = 2**18  # bytes of such a file


class FolderConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where the folder is.

    Attributes:
        path: from the root of the file system.
    """

    path: str


class FolderSource:
    """The files of one folder, and of those inside it.

    Args:
        root: resolved.
        home: Ponant's own folder, which is not read even where it lies inside.
        aside: runs a function that takes long beside everything else.
    """

    def __init__(self, root: Path, home: Path, aside: Aside) -> None:
        self._root = root
        self._aside = aside
        self._is_private = private_inside(home, root)
        self._hints: dict[str, None] = {}  # what events told of and was not read since, in order
        self._news: dict[str, None] = {}  # those of them that came after the last look
        self._ahead: dict[
            str, Content
        ] = {}  # what was read with the last look, unless told of since
        self._woken = asyncio.Event()
        self._last = Scan({}, 0, ())
        self._looked = 0.0  # when the whole folder was last seen; 0 is never
        self._took = 0.0
        self._unwatched = ""  # why no events tell of changes
        self._kind = ""

    @property
    def interval(self) -> float | None:
        """Seconds between two looks where no events tell of changes."""
        return max(_RESCAN_SECONDS, self._took / _RESCAN_SHARE) if self._unwatched else None

    async def batches(self, cursor: Cursor | None) -> AsyncGenerator[Batch]:
        """Yield what the folder holds, and then what events tell of."""
        self._kind = await self._aside(mounts.file_system, self._root, mounts.MOUNTS)
        self._refuse_unmounted(cursor)
        if mounts.is_network(self._kind):
            self._unwatched = f"It lies on a network share ({self._kind})"
        watching = asyncio.create_task(self._watch())
        try:
            while True:
                self._woken.clear()
                yield await self._look()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause):
                        await self._woken.wait()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    def _refuse_unmounted(self, cursor: Cursor | None) -> None:
        """A share that is not mounted shows an empty folder, which says nothing of its files.

        Raises:
            SourceFault: the folder lay on a share, and no longer does.
        """
        before = str((cursor or {}).get("file_system", ""))
        if mounts.is_network(before) and not mounts.is_network(self._kind):
            raise SourceFault(
                f"The folder {self._root} lay on a network share ({before}), which is not mounted "
                "now. Mount it; what it held when last read answers.",
                _RETRY_SECONDS,
            )

    @property
    def _pause(self) -> float:
        if not self._last.files:
            return _RETRY_SECONDS
        share = _RESCAN_SHARE if self._unwatched else _RESCAN_SHARE_TOLD
        longest = max(_RESCAN_SECONDS, self._took / share)
        return max(0.0, self._looked + longest - time.monotonic())

    async def _look(self) -> Batch:
        """What events told of where that is little and known; else everything."""
        hints = list(reversed(self._hints))  # the latest first
        self._news.clear()
        self._ahead = {}
        if self._last.files and 0 < len(hints) <= _MOST_HINTS and self._pause:
            glanced = await self._glanced(hints)
            if glanced is not None and not self._folder_went(glanced):
                return self._some(glanced, hints)
        return await self._everything(hints)

    async def _newer(self) -> Batch | None:
        """What events told of since the last look, where that is little and known."""
        news = list(reversed(self._news))
        if not 0 < len(news) <= _MOST_NEWER:
            return None
        self._news.clear()
        self._woken.clear()
        glanced = await self._glanced(news)
        if glanced is None or self._folder_went(glanced):
            self._woken.set()  # so that everything is looked at soon
            return None
        return self._some(glanced, news)

    async def _glanced(self, paths: Sequence[str]) -> dict[str, Seen | None] | None:
        """As `files.glance`; what the first small files hold is read in the same go."""
        seen, self._ahead = await self._aside(self._glance, paths)
        return seen

    def _glance(
        self, paths: Sequence[str]
    ) -> tuple[dict[str, Seen | None] | None, dict[str, Content]]:
        seen = files.glance(self._root, self._is_private, paths)
        ahead: dict[str, Content] = {}
        for path, one in list((seen or {}).items())[:_MOST_AHEAD]:
            if one is not None and one.size <= _LARGEST_AHEAD:
                with contextlib.suppress(OSError, UnreadableDocument):  # told when its turn comes
                    ahead[path] = files.read(self._root, path, self._is_private)
        return seen, ahead

    def _folder_went(self, glanced: dict[str, Seen | None]) -> bool:
        """Whether a place that is gone had files inside, of which no event tells."""
        gone = [path for path, seen in glanced.items() if seen is None]
        known = self._last.files
        folders = tuple(f"{path}/" for path in gone if path not in known)
        return bool(folders) and any(path.startswith(folders) for path in known)

    def _some(self, glanced: dict[str, Seen | None], hints: Sequence[str]) -> Batch:
        """A batch of what events told of; the look before it knows the rest."""
        changes: list[Found | Gone] = []
        for path, seen in glanced.items():
            if seen is not None:
                self._last.files[path] = seen
                changes.append(self._found(seen))
            elif self._last.files.pop(path, None) is not None:
                changes.append(Gone(key=path))
        self._forget(path for path in hints if glanced[path] is None)
        return self._batch(changes, complete=False)

    async def _everything(self, hints: Sequence[str]) -> Batch:
        begun = time.monotonic()
        try:
            self._last = await self._aside(self._scan, self._last.files)
        except FileNotFoundError as e:
            raise SourceFault(
                f"The folder {self._root} is not there. What it held when last read answers.",
                _RETRY_SECONDS,
            ) from e
        except OSError as e:
            raise SourceFault(
                f"The folder {self._root} cannot be read: {e.strerror}. Check who may read it.",
                _RETRY_SECONDS,
            ) from e
        self._looked = time.monotonic()
        self._took = self._looked - begun
        found = self._last.files
        self._forget(path for path in hints if path not in found)
        first = [self._found(found[path]) for path in hints if path in found]
        rest = [self._found(found[path]) for path in sorted(found) if path not in self._hints]
        return self._batch([*first, *rest], complete=True)

    def _scan(self, before: Mapping[str, Seen]) -> Scan:
        """Walk the folder; what a walk left out is gone only where nothing is in its place."""
        found = files.scan(self._root, self._is_private)
        missed = [path for path in before if path not in found.files]
        found.files.update(files.still_there(self._root, self._is_private, missed))
        return found

    def _forget(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._hints.pop(path, None)

    def _batch(self, changes: list[Found | Gone], *, complete: bool) -> Batch:
        kinds = " that Ponant reads" if self._last.others else ""
        return Batch(
            changes=changes,
            # The last file that goes is noticed by a look at everything, which then says so.
            complete=complete,
            remark=" ".join(one for one in (_remark(self._last), self._polled) if one),
            cursor={"file_system": self._kind} if mounts.is_network(self._kind) else None,
            empty=(
                f"The folder {self._root} holds no files{kinds}. Add a file (.txt, .md, .html, "
                ".docx or .pdf) or choose another folder."
            ),
            identity=_same_file,
            stale=self._is_stale,
            newer=self._newer,
            seen=len(self._last.files),
            kept=True,
        )

    @property
    def _polled(self) -> str:
        """What to say where no events tell of changes."""
        if self.interval is None:
            return ""
        return f"{self._unwatched}, so it is looked at every {self.interval:.0f} s."

    def _is_stale(self) -> bool:
        """Whether something changed since; then the next look must be one at everything."""
        if self._woken.is_set():
            self._looked = 0.0
        return self._woken.is_set()

    def _found(self, seen: Seen) -> Found:
        return Found(
            key=seen.path,
            signature=seen.signature,
            name=Path(seen.path).name,
            read=partial(self._read, seen.path),
            urgent=seen.path in self._hints,
        )

    async def _read(self, path: str) -> Content:
        self._forget((path,))  # a later event tells of a later write
        ahead = self._ahead.pop(path, None)
        if ahead is not None and not self._news:
            return ahead
        return await self._aside(files.read, self._root, path, self._is_private)

    async def _watch(self) -> None:
        """Turn the system's file events into hints; where there are none the looks must do."""
        while not mounts.is_network(self._kind):
            try:
                async with aclosing(await self._events()) as events:
                    self._unwatched = ""
                    self._told({""})  # of what was written before the watching began
                    async for some in events:
                        self._told(some)
            except (FileNotFoundError, PermissionError):
                await asyncio.sleep(_RETRY_SECONDS)
            except (OSError, RuntimeError):  # the system has no more watches to give
                self._unwatched = (
                    "The system's file watches have run out (fs.inotify.max_user_watches)"
                )
                await asyncio.sleep(_REWATCH_SECONDS)

    async def _events(self) -> AsyncGenerator[set[str]]:
        """Places in the folder as they change, by the quickest means that the system has."""
        if inotify.IS_THERE:
            watch = await self._aside(inotify.Watch, self._root)
            return watch.changes()
        return self._notified()

    async def _notified(self) -> AsyncGenerator[set[str]]:
        async for some in awatch(
            self._root,
            watch_filter=self._concerns,
            step=_EVENT_STEP,
            debounce=_EVENT_DEBOUNCE,
            rust_timeout=1000,
        ):
            yield {self._relative(path) for _, path in some}

    def _told(self, paths: Iterable[str]) -> None:
        for path in paths:
            for one in (path, *self._last.links.get(path, ())):
                self._hints.pop(one, None)  # the latest goes last
                self._hints[one] = self._news[one] = None
        self._woken.set()

    def _concerns(self, _change: Change, path: str) -> bool:
        return not any(part.startswith(".") for part in Path(self._relative(path)).parts)

    def _relative(self, path: str) -> str:
        found = Path(path)
        return found.relative_to(self._root).as_posix() if found.is_relative_to(self._root) else ""


def _same_file(signature: str) -> str:
    """The part of a signature that a move within a file system leaves as it is."""
    return signature.rpartition(":")[0]


def _remark(found: Scan) -> str:
    remarks = []
    if found.others:
        remarks.append(f"{found.others} files of other kinds are left out.")
    if found.faults:
        named = ". ".join(found.faults[:_MOST_NAMED])
        remarks.append(f"{len(found.faults)} places cannot be read: {named}.")
    return " ".join(remarks)


def _checked(config: FolderConfig, context: Context) -> FolderConfig:
    folder = context.roots.checked(config.path, trusted=context.trusted)
    return FolderConfig(path=str(folder))


def _open(config: FolderConfig, _secrets: Secrets, context: Context) -> FolderSource:
    return FolderSource(Path(config.path), context.home, context.aside)


KIND = Kind(
    name="folder",
    config=FolderConfig,
    open=_open,
    check=_checked,
    reaches="machine",
    hint='{"path": "/…"}: a folder of this machine',
    title=lambda config: config.path,
    folder=lambda config: config.path,
)
