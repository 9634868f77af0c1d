"""The tables' process: DuckDB of every workspace, apart from search and ingestion.

SQL from callers may ask for more memory than DuckDB's own limit sees (``repeat('x', …)`` took
5 GB), so that it runs where the system's limit ends a query, or this process, and nothing else.
What was stored is stored, and the live process starts it again.
"""

import os
import resource
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import duckdb
import msgspec
import structlog

from ponant.kit import PonantError
from ponant.kit.errors import BadRequest, StorageFull, Unavailable
from ponant.kit.log import configure_log
from ponant.kit.pipes import take_standard_output
from ponant.live.calls import arguments_of
from ponant.live.failure import Failure
from ponant.live.relations import sql
from ponant.live.relations.frames import (
    LENGTH,
    Ask,
    Event,
    Reply,
    TablesSpec,
    decode_ask,
    encode,
    frame,
)
from ponant.live.relations.port import Changed
from ponant.live.relations.workspace import Workspace

SUFFIX = ".duckdb"
_READERS = 2
_BESIDE = 768 * 2**20  # bytes that Python and DuckDB's own code need beside queries

_log = structlog.get_logger(__name__)


class Worker:
    """Answers what comes in on one pipe over another."""

    def __init__(self, spec: TablesSpec, send: Callable[[bytes], None]) -> None:
        self._spec = spec
        self._send = send
        self._sending = threading.Lock()
        self._opening = threading.Lock()
        self._workspaces: dict[str, Workspace] = {}
        self._writer = ThreadPoolExecutor(1, "tables-writer")
        self._readers = ThreadPoolExecutor(_READERS, "tables-reader")
        self._stale = threading.Event()
        threading.Thread(target=self._keep_asking, daemon=True).start()

    def open_all(self) -> None:
        """Open what is there, so that what a crash kept from standing queries reaches them."""
        for path in sorted(Path(self._spec.folder).glob(f"*{SUFFIX}")):
            try:
                self._workspace(path.name.removesuffix(SUFFIX))
            except (duckdb.Error, PonantError) as e:
                _log.error("Tables cannot be opened.", file=str(path), reason=sql.first_line(e))
        self._stale.set()

    def take(self, ask: Ask) -> None:
        """Answer a call, on the thread that it needs."""
        if ask.method in Workspace.WRITES:
            self._writer.submit(self._answer, ask)
        elif ask.method in Workspace.READS:
            self._readers.submit(self._answer, ask)
        else:
            failure = Failure.of(BadRequest(f"Tables have no method {ask.method}."))
            self._say(Reply(ask.id, failure=failure))

    def _answer(self, ask: Ask) -> None:
        try:
            method = getattr(self._workspace(ask.workspace_id), ask.method)
            reply = Reply(ask.id, encode(method(**arguments_of(method, ask.arguments))))
        except PonantError as e:
            reply = Reply(ask.id, failure=Failure.of(e))
        except (duckdb.Error, MemoryError) as e:
            reply = Reply(ask.id, failure=Failure.of(_plain(e)))
        except (LookupError, OSError, TypeError, ValueError) as e:
            _log.error("A call to the tables failed.", method=ask.method, exc_info=e)
            failure = Failure.of(Unavailable("The tables failed. The server's log says why."))
            reply = Reply(ask.id, failure=failure)
        self._say(reply)

    def _workspace(self, workspace_id: str) -> Workspace:
        with self._opening:
            if workspace_id not in self._workspaces:
                if not workspace_id.replace("_", "").isalnum():
                    raise BadRequest("There is no such workspace.")
                self._workspaces[workspace_id] = Workspace(
                    workspace_id,
                    Path(self._spec.folder) / f"{workspace_id}{SUFFIX}",
                    self._spec.memory,
                    self._spec.seconds,
                    self._tell,
                    self._stale.set,
                )
            return self._workspaces[workspace_id]

    def _keep_asking(self) -> None:
        """Ask standing queries again, as often as their tables change and one time is over."""
        while True:
            self._stale.wait()
            self._stale.clear()
            for workspace in list(self._workspaces.values()):
                try:
                    for name, answer in workspace.stale():
                        self._writer.submit(partial(workspace.note, name, answer)).result()
                except (duckdb.Error, MemoryError, PonantError) as e:
                    _log.error("Standing queries were not asked.", reason=sql.first_line(e))

    def _tell(self, changed: Changed) -> None:
        self._say(Event(changed))

    def _say(self, message: msgspec.Struct) -> None:
        with self._sending:
            self._send(frame(message))


def _plain(error: BaseException) -> PonantError:
    reason = sql.first_line(error)
    if "No space left" in reason:
        return StorageFull("The disk is full. Free some room; what was stored is kept.")
    return BadRequest(f"The tables refuse this: {reason}")


def main() -> None:
    """Serve what standard input says until it ends."""
    pipe = sys.stdin.buffer
    spec = msgspec.json.decode(pipe.readline(), type=TablesSpec)
    configure_log(spec.log_level)
    _limit(spec.memory)
    worker = Worker(spec, take_standard_output())
    worker.open_all()
    while len(head := pipe.read(LENGTH)) == LENGTH:
        worker.take(decode_ask(pipe.read(int.from_bytes(head, "big"))))
    os._exit(0)  # every transaction ends on disk or not at all


def _limit(memory: int) -> None:
    """Let the system refuse memory that DuckDB's own limit does not count."""
    resource.setrlimit(resource.RLIMIT_DATA, (2 * memory + _BESIDE,) * 2)


if __name__ == "__main__":
    main()
