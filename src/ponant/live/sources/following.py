"""Follows a folder: events say at once that something changed, a periodic look misses nothing."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import structlog
from sqlalchemy.exc import SQLAlchemyError
from watchfiles import Change, awatch

from ponant.kit.errors import NotFound, PonantError
from ponant.live import repository
from ponant.live.indexing.ingestion import Home, Ingestion, Known
from ponant.live.reading.parsing import UnreadableDocument
from ponant.live.sources import files
from ponant.live.sources.files import Scan, Seen
from ponant.live.sources.port import Content
from ponant.live.sources.roots import private_inside

_RESCAN_SECONDS = 5.0
_RESCAN_SHARE = 0.02  # of one core at most goes into looking again
_RETRY_SECONDS = 0.5  # while a folder is missing or cannot be read
_GLANCE_SECONDS = 0.2  # a long pass looks for newer changes this often
_HURRY = 4  # with more files waiting, keywords come first and vectors later
_NOTE_SECONDS = 0.1

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class SourceState:
    """How a source fares now; counts are of files."""

    state: Literal["in_step", "syncing", "error"] = "syncing"
    message: str = ""
    seen: int = 0
    indexed: int = 0
    failed: int = 0
    pending: int = 0
    checked_at: datetime | None = None


class FolderFollower:
    """Keeps a library in step with one folder.

    Args:
        changed: called when `state` is another.
        home: Ponant's own folder, which is not read even where it lies inside.
    """

    def __init__(
        self,
        place: Home,
        root: Path,
        ingestion: Ingestion,
        changed: Callable[[], None],
        *,
        home: Path,
    ) -> None:
        self.state = SourceState()
        self._home = place
        self._root = root
        self._ingestion = ingestion
        self._is_private = private_inside(home, root)
        self._changed = changed
        self._known: dict[str, Known] = {}
        self._passed: dict[str, str] = {}  # signatures of files that we failed on
        self._hints: set[str] = set()
        self._woken = asyncio.Event()
        self._took = 0.0
        self._noted = 0.0

    @property
    def library_id(self) -> str:
        return self._home.library_id

    async def run(self) -> None:
        """Follow until cancelled."""
        self._known = await self._ingestion.aside(self._load)
        watching = asyncio.create_task(self._watch())
        try:
            while True:
                await self._follow_once()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause):
                        await self._woken.wait()
        finally:
            watching.cancel()

    @property
    def _pause(self) -> float:
        if self.state.state != "in_step":
            return _RETRY_SECONDS
        return max(_RESCAN_SECONDS, self._took / _RESCAN_SHARE)

    async def _follow_once(self) -> None:
        """Look, and take in what is new; ends early when the folder changes again."""
        self._woken.clear()
        hints, self._hints = self._hints, set()
        try:
            begun = time.monotonic()
            found = await self._ingestion.aside(files.scan, self._root, self._is_private)
            self._took = time.monotonic() - begun
            await self._take_in(found, hints)
        except FileNotFoundError:
            self._fail(
                f"The folder {self._root} is not there. What it held when last read answers."
            )
        except OSError as e:
            self._fail(
                f"The folder {self._root} cannot be read: {e.strerror}. Check who may read it."
            )
        except NotFound:
            self._fail("The library is gone.")
        except PonantError as e:
            self._fail(e.message)
        except SQLAlchemyError as e:
            _log.error("A change was not stored.", folder=str(self._root), reason=str(e))
            self._fail("What changed could not be stored. It is tried again.")

    async def _take_in(self, found: Scan, hints: set[str]) -> None:
        await self._forget(found)
        work = [seen for seen in found.files.values() if self._is_new(seen, hints)]
        work.sort(key=lambda seen: (seen.path not in hints, seen.path))
        self._note(found, len(work))
        last, glance = time.monotonic(), max(_GLANCE_SECONDS, 5 * self._took)
        for number, seen in enumerate(work):
            if self._woken.is_set() and time.monotonic() - last > glance:
                # The rest shows up again in the next look, except for what only events tell.
                self._hints |= hints & {later.path for later in work[number:]}
                return
            hurry = len(work) - number > _HURRY and seen.path not in hints
            await self._take_or_pass(seen, hurry=hurry)
            if number + 1 == len(work) or time.monotonic() - self._noted > _NOTE_SECONDS:
                self._note(found, len(work) - number - 1)

    def _is_new(self, seen: Seen, hints: set[str]) -> bool:
        if self._passed.get(seen.path) == seen.signature:
            return False
        known = self._known.get(seen.path)
        return known is None or known.signature != seen.signature or seen.path in hints

    async def _forget(self, found: Scan) -> None:
        """Delete what is no longer there, except for files that have only moved."""
        missing = {path: known for path, known in self._known.items() if path not in found.files}
        if not missing:
            return
        places = {_same_file(known.signature): known for known in missing.values()}
        for seen in found.files.values():
            moved = places.get(_same_file(seen.signature))
            if moved is not None and seen.path not in self._known and moved.path in missing:
                await self._move(missing.pop(moved.path), seen)
        if not missing:
            return
        ids = [known.document_id for known in missing.values()]
        home, write = self._home, self._ingestion.write
        change = await write(
            self._ingestion.index.delete_documents, home.scope, home.library_id, ids
        )
        for path in missing:
            del self._known[path]
        self._ingestion.publish(home.scope, change)

    async def _move(self, known: Known, seen: Seen) -> None:
        """Follow a file to its new place; it is read again there, in case it is another."""
        home = self._home
        change = await self._ingestion.write(
            self._ingestion.index.move_document,
            home.scope,
            home.library_id,
            known.document_id,
            seen.path,
            Path(seen.path).name,
            "",
        )
        del self._known[known.path]
        self._known[seen.path] = Known(
            known.document_id, seen.path, "", known.content_hash, known.state
        )
        self._ingestion.publish(home.scope, change)

    async def _take_or_pass(self, seen: Seen, *, hurry: bool) -> None:
        """Take a file in; a fault of ours in one must not keep the others out."""
        try:
            await self._take(seen, hurry=hurry)
        except (OSError, PonantError, SQLAlchemyError):
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the next file is another
            _log.exception("A file was passed over.", folder=str(self._root), path=seen.path)
            self._passed[seen.path] = seen.signature

    async def _take(self, seen: Seen, *, hurry: bool) -> None:
        known = self._known.get(seen.path)
        name = Path(seen.path).name
        try:
            content = await self._ingestion.aside(files.read, self._root, seen.path)
        except FileNotFoundError:
            return  # the next look finds it missing
        except UnreadableDocument as e:
            content = Content(b"", "", seen.signature)
            self._known[seen.path] = await self._ingestion.fail(
                self._home, known, seen.path, name, content, str(e)
            )
            return
        if known is None or known.content_hash != content.hash or known.state != "indexed":
            self._known[seen.path] = await self._ingestion.take(
                self._home, known, seen.path, name, content, hurry=hurry
            )
        elif known.signature != content.signature:
            await self._touch(known, content)

    async def _touch(self, known: Known, content: Content) -> None:
        """Remember that a file was written without becoming another."""
        await self._ingestion.write(
            self._ingestion.index.set_document,
            self._home.scope,
            known.document_id,
            signature=content.signature,
        )
        self._known[known.path] = Known(
            known.document_id, known.path, content.signature, known.content_hash, known.state
        )

    async def _watch(self) -> None:
        """Turn the system's file events into hints; where there are none the looks must do."""
        while True:
            with contextlib.suppress(OSError, RuntimeError):
                events = awatch(
                    self._root,
                    watch_filter=self._concerns,
                    step=25,
                    debounce=100,
                    rust_timeout=1000,
                )
                async for some in events:
                    self._hints |= {self._relative(path) for _, path in some}
                    self._woken.set()
            await asyncio.sleep(_RETRY_SECONDS)

    def _concerns(self, _change: Change, path: str) -> bool:
        return not any(part.startswith(".") for part in Path(self._relative(path)).parts)

    def _relative(self, path: str) -> str:
        found = Path(path)
        return found.relative_to(self._root).as_posix() if found.is_relative_to(self._root) else ""

    def _load(self) -> dict[str, Known]:
        home = self._home
        with self._ingestion.index.database.read() as session:
            rows = repository.documents(session, home.scope, home.library_id, home.source_id)
        return {
            row.path: Known(row.id, row.path, row.signature, row.content_hash, row.state)
            for row in rows
        }

    def _note(self, found: Scan, pending: int) -> None:
        before = (self.state.state, self.state.message, self.state.pending)
        self._noted = time.monotonic()
        known = list(self._known.values())
        self.state = SourceState(
            state="syncing" if pending else "in_step",
            message=_remark(found, len(self._passed)),
            seen=len(found.files),
            indexed=sum(one.state == "indexed" for one in known),
            failed=sum(one.state == "failed" for one in known) + len(self._passed),
            pending=pending,
            checked_at=self._ingestion.index.clock.now(),
        )
        if not found.files:
            kinds = " that Ponant reads" if found.others else ""
            self.state.state = "error"
            self.state.message = (
                f"The folder {self._root} holds no files{kinds}. Add a file (.txt, .md, .html, "
                ".docx or .pdf) or choose another folder."
            )
        if before != (self.state.state, self.state.message, self.state.pending):
            self._changed()

    def _fail(self, message: str) -> None:
        before = (self.state.state, self.state.message)
        self.state.state, self.state.message = "error", message
        self.state.checked_at = self._ingestion.index.clock.now()
        if before != ("error", message):
            self._changed()


def _same_file(signature: str) -> str:
    """The part of a signature that a move within a file system leaves as it is."""
    return signature.rpartition(":")[0]


def _remark(found: Scan, passed: int) -> str:
    remarks = []
    if passed:
        remarks.append(f"{passed} files were passed over; the server's log says why.")
    if found.others:
        remarks.append(f"{found.others} files of other kinds are left out.")
    if found.faults:
        remarks.append(f"{len(found.faults)} places cannot be read: {found.faults[0]}.")
    return " ".join(remarks)
