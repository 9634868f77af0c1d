"""Has the disk take what was stored, behind those who search for it already."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import structlog

from ponant.store import Database

_log = structlog.get_logger(__name__)


class Settling:
    """Waits for the disk on a thread of its own; what comes meanwhile goes with the next turn."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._thread = ThreadPoolExecutor(1, "live-settler")
        self._behind = False  # whether something was stored since the last turn began
        self._turns: asyncio.Task[None] | None = None

    def stored(self) -> None:
        """Something was stored by ``write(soon=True)``."""
        self._behind = True
        if self._turns is None or self._turns.done():
            self._turns = asyncio.create_task(self._settle())
            self._turns.add_done_callback(_tell)

    async def settled(self) -> None:
        """Wait until the disk has everything that was stored before this.

        Raises:
            OSError: the disk did not take it.
        """
        if self._behind:
            self.stored()  # where the last turn failed, another begins
        if self._turns is not None:
            await asyncio.shield(self._turns)

    async def close(self) -> None:
        """End, once the disk has everything."""
        if self._turns is not None:
            await asyncio.gather(self._turns, return_exceptions=True)
        self._thread.shutdown(wait=True)

    async def _settle(self) -> None:
        loop = asyncio.get_running_loop()
        while self._behind:
            self._behind = False
            try:
                await loop.run_in_executor(self._thread, self._database.settle)
            except BaseException:
                self._behind = True
                raise


def _tell(turns: asyncio.Task[None]) -> None:
    if not turns.cancelled() and (error := turns.exception()) is not None:
        _log.error("The disk does not take what was stored.", reason=str(error))
