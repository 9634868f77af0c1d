"""PostgreSQL's replication protocol over libpq: a slot is made, and its changes stream in.

psycopg brings libpq but not this protocol; its messages are described in PostgreSQL's manual,
chapter "Streaming Replication Protocol".
"""

import asyncio
import contextlib
import struct
import time
from collections.abc import Iterator

from psycopg import OperationalError
from psycopg.pq import ConnStatus, ExecStatus, PGconn
from psycopg.pq.abc import PGconn as Connection
from psycopg.pq.abc import PGresult

_BEAT_SECONDS = 1.0  # between two words to the server, which otherwise takes us for dead
_EPOCH = 946_684_800  # PostgreSQL counts from the year 2000

_DATA = struct.Struct(">cQQq")
_KEEPALIVE = struct.Struct(">cQqb")
_STATUS = struct.Struct(">cQQQqb")


class Stream:
    """One replication connection. What is confirmed is never sent again, and no sooner forgotten.

    Attributes:
        heard: how far the server has come, with nothing for us before it that was not sent.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stored = 0
        self._beat: asyncio.Task[None] | None = None
        self.heard = 0

    @classmethod
    async def open(cls, conninfo: str) -> "Stream":
        """Connect; the text may hold ``replication`` and must hold a timeout.

        Raises:
            psycopg.OperationalError: there is no server, or it refuses.
        """
        connection = await asyncio.to_thread(PGconn.connect, conninfo.encode())
        if connection.status != ConnStatus.OK:
            message = connection.error_message.decode(errors="replace")
            connection.finish()
            raise OperationalError(message)
        return cls(connection)

    async def make_slot(self, name: str) -> tuple[int, str]:
        """Make a slot; returns where it begins, and the snapshot of what stands before that."""
        result = await self._ask(
            f'CREATE_REPLICATION_SLOT "{name}" LOGICAL pgoutput EXPORT_SNAPSHOT'
        )
        return number(_text(result, 1)), _text(result, 2)

    async def drop_slot(self, name: str) -> None:
        """Drop a slot that nobody uses."""
        await self._ask(f'DROP_REPLICATION_SLOT "{name}"')

    async def start(self, slot: str, publication: str, begin: int) -> None:
        """Have changes streamed from ``begin`` on."""
        self._stored = self.heard = begin
        await self._ask(
            f'START_REPLICATION SLOT "{slot}" LOGICAL {written(begin)} '
            f"(proto_version '1', publication_names '\"{publication}\"')",
        )
        self._connection.nonblocking = 1
        self._beat = asyncio.create_task(self._keep_alive())

    def stored(self, end: int) -> None:
        """Confirm what is stored, so that the server can let go of it."""
        self._stored = max(self._stored, end)

    def confirm(self) -> None:
        """Tell the server now."""
        now = int((time.time() - _EPOCH) * 1_000_000)
        told = self._stored
        self._connection.put_copy_data(_STATUS.pack(b"r", told, told, told, now, 0))
        self._connection.flush()

    async def messages(self, seconds: float) -> list[bytes]:
        """What has come; waits up to ``seconds`` where nothing has.

        Raises:
            psycopg.OperationalError: the connection is lost.
        """
        messages = list(self._come())
        if not messages:
            await self._readable(seconds)
            messages = list(self._come())
        return messages

    async def close(self) -> None:
        """End the connection; the slot stays."""
        if self._beat is not None:
            self._beat.cancel()
            with contextlib.suppress(asyncio.CancelledError, OperationalError):
                await self._beat
            with contextlib.suppress(OperationalError):
                self.confirm()
        self._connection.finish()

    def _come(self, most: int = 2000) -> Iterator[bytes]:
        self._connection.consume_input()
        for _ in range(most):
            length, data = self._connection.get_copy_data(1)
            if length == 0:
                return
            if length < 0:
                raise OperationalError(
                    self._connection.error_message.decode(errors="replace") or "the stream ended"
                )
            message = bytes(data)
            if message[:1] == b"w":
                yield message[_DATA.size :]
            elif message[:1] == b"k":
                _, self.heard, _, asked = _KEEPALIVE.unpack(message)
                if asked:
                    self.confirm()

    async def _readable(self, seconds: float) -> None:
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._connection.socket, readable.set)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await readable.wait()
        finally:
            loop.remove_reader(self._connection.socket)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            self.confirm()

    async def _ask(self, command: str) -> PGresult:
        result = await asyncio.to_thread(self._connection.exec_, command.encode())
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK, ExecStatus.COPY_BOTH):
            raise OperationalError(result.error_message.decode(errors="replace"))
        return result


def number(lsn: str) -> int:
    """A position in the server's log, from how it is written."""
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def written(lsn: int) -> str:
    """A position as PostgreSQL writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def _text(result: PGresult, column: int) -> str:
    return (result.get_value(0, column) or b"").decode()
