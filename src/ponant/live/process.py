"""The live process: owns live.db, the sources and the indexes, and answers on a local socket.

It ends with the process that started it, whose end it notices by its standard input.
"""

import asyncio
import contextlib
import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import structlog
import zmq
import zmq.asyncio
from numpy.typing import NDArray
from sqlalchemy.exc import SQLAlchemyError

from ponant.kit import PonantError, SystemClock
from ponant.kit.errors import BadRequest, Unavailable
from ponant.kit.lock import exclusive
from ponant.kit.log import configure_log
from ponant.kit.tasks import Tasks
from ponant.live import storage, wire
from ponant.live.address import lock_file
from ponant.live.calls import arguments_of, callable_methods
from ponant.live.failure import Failure
from ponant.live.knowledge import Knowledge
from ponant.live.port import Change, Notice
from ponant.store import Database

_LOCK_SECONDS = 10.0
_PAUSE_SECONDS = 1.0
_TURN_SECONDS = 0.0005  # that a thread computes before another may; a question takes several turns
_FULL_COLLECTIONS = 200  # younger ones to each; it holds up every thread for some 30 ms

_log = structlog.get_logger(__name__)

_Answer = NDArray[np.float32] | list[int]


class OfferedEmbedder:
    """The embedder that a client offered, asked over the socket."""

    def __init__(self, offer: wire.Offer, server: "Server", client: bytes) -> None:
        self.identity = offer.identity
        self.max_tokens = offer.max_tokens
        self._server = server
        self._client = client

    async def embed(
        self, texts: Sequence[str], kind: Literal["query", "passage"]
    ) -> NDArray[np.float32]:
        """Vectors of shape (len(texts), dimension).

        Raises:
            Unavailable: the client is gone.
            PonantError: what the embedder itself raised.
        """
        return await self._server.embed(self._client, list(texts), kind)

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """As `embed`, only counted."""
        return await self._server.count_tokens(self._client, list(texts))


class Server:
    """Serves `Knowledge` to the clients of one socket."""

    def __init__(
        self,
        socket: zmq.asyncio.Socket,
        home: Path,
        database: Database,
        roots: Sequence[Path],
        networks: Sequence[str] = (),
        tables_memory: int = 512,
        secrets_key: str | None = None,
        brokers: Sequence[str] = (),
        vectors: str = "auto",
    ) -> None:
        self._socket = socket
        self._knowledge = Knowledge(
            home,
            roots,
            database,
            SystemClock(),
            self._tell,
            self._notify,
            networks,
            tables_memory << 20,
            secrets_key,
            brokers,
            vectors,
        )
        self._calls = callable_methods(self._knowledge)
        self._listeners: set[bytes] = set()
        self._asked: dict[int, asyncio.Future[_Answer]] = {}
        # No answer to a process that was here before is one to this.
        self._numbers = count(time.time_ns())
        self._tasks = Tasks("the live process")

    async def run(self) -> None:
        """Serve until cancelled."""
        await self._knowledge.start()
        try:
            while True:
                client, message = await self._socket.recv_multipart()
                try:
                    ask = wire.decode_ask(message)
                except msgspec.DecodeError as e:
                    _log.error("A message made no sense.", reason=str(e))
                    continue
                self._take(client, ask)
        finally:
            await self._knowledge.close()

    async def embed(
        self, client: bytes, texts: list[str], kind: Literal["query", "passage"]
    ) -> NDArray[np.float32]:
        """Have a client embed texts."""
        number = next(self._numbers)
        answer = await self._asking(client, wire.Embed(number, texts, kind))
        if not isinstance(answer, np.ndarray):
            raise Unavailable("The embedder answered something else.")
        return answer

    async def count_tokens(self, client: bytes, texts: list[str]) -> list[int]:
        """Have a client count the tokens of texts."""
        answer = await self._asking(client, wire.Count(next(self._numbers), texts))
        if not isinstance(answer, list):
            raise Unavailable("The embedder answered something else.")
        return answer

    async def _asking(self, client: bytes, ask: wire.Embed | wire.Count) -> _Answer:
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._asked[ask.id] = answer
        try:
            await self._send(client, ask)
            return await answer
        finally:
            del self._asked[ask.id]

    def _take(self, client: bytes, ask: wire.Ask) -> None:
        match ask:
            case wire.Call():
                self._tasks.spawn(self._answer(client, ask))
            case wire.Subscribe():
                self._listeners.add(client)
                self._tasks.spawn(self._greet(client))
            case wire.Offer():
                embedder = OfferedEmbedder(ask, self, client)
                self._tasks.spawn(self._connect(embedder))
            case wire.Vectors(number) if number in self._asked:
                if not self._asked[number].done():
                    self._asked[number].set_result(ask.array())
            case wire.Counted(number, counts) if number in self._asked:
                if not self._asked[number].done():
                    self._asked[number].set_result(counts)
            case wire.NotEmbedded(number, failure) if number in self._asked:
                if not self._asked[number].done():
                    self._asked[number].set_exception(failure.error())

    async def _connect(self, embedder: OfferedEmbedder) -> None:
        """Take an offer, which is made once; again and again while the disk is full, say."""
        while True:
            try:
                return await self._knowledge.connect(embedder)
            except (PonantError, SQLAlchemyError, OSError) as e:
                _log.warning("The stored vectors cannot be read; it is tried again.", reason=str(e))
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _greet(self, client: bytes) -> None:
        await self._send(client, wire.Ready())

    async def _answer(self, client: bytes, call: wire.Call) -> None:
        try:
            reply = wire.Reply(call.id, wire.encode(await self._result(call)))
        except PonantError as e:
            reply = wire.Reply(call.id, failure=Failure.of(e))
        except (SQLAlchemyError, OSError, LookupError, TypeError, ValueError) as e:
            _log.error("A call failed.", method=call.method, exc_info=e)
            failure = Failure.of(Unavailable("Live knowledge failed. Its log says why."))
            reply = wire.Reply(call.id, failure=failure)
        with contextlib.suppress(Unavailable):
            await self._send(client, reply)

    async def _result(self, call: wire.Call) -> object:
        function = self._calls.get(call.method)
        if function is None:
            raise BadRequest(f"Live knowledge has no method {call.method}.")
        return await function(call.scope, **arguments_of(function, call.arguments))

    def _tell(self, change: Change) -> None:
        self._tell_all(wire.Told(change))

    def _notify(self, notice: Notice) -> None:
        self._tell_all(wire.Noticed(notice))

    def _tell_all(self, told: wire.Tell) -> None:
        for client in list(self._listeners):
            self._tasks.spawn(self._tell_one(client, told))

    async def _tell_one(self, client: bytes, told: wire.Tell) -> None:
        try:
            await self._send(client, told)
        except Unavailable:
            self._listeners.discard(client)

    async def _send(self, client: bytes, tell: wire.Tell) -> None:
        try:
            await self._socket.send_multipart([client, wire.encode(tell)])
        except zmq.ZMQError as e:
            raise Unavailable("The other side is gone.", retry_after=1) from e


def main() -> None:
    """Serve what standard input says until it ends."""
    spec = msgspec.json.decode(sys.stdin.buffer.readline(), type=wire.LiveSpec)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    configure_log(spec.log_level)
    sys.setswitchinterval(_TURN_SECONDS)
    gc.freeze()  # what was imported stays, and need not be looked through for garbage
    gc.set_threshold(*gc.get_threshold()[:2], _FULL_COLLECTIONS)
    gc.enable()
    for chatty in ("alembic", "watchfiles"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    home = Path(spec.home)
    deadline = time.monotonic() + _LOCK_SECONDS
    while time.monotonic() < deadline:
        with exclusive(lock_file(home)) as alone:
            if alone:
                _serve_or_say(spec, home)
                return
        time.sleep(0.05)  # the one before is still ending
    _log.error("Another process owns live knowledge.", home=str(home))
    sys.exit(1)


def _serve_or_say(spec: wire.LiveSpec, home: Path) -> None:
    """Serve; a database that cannot be opened ends the process with a sentence."""
    try:
        asyncio.run(_serve(spec, home))
    except (OSError, PonantError, SQLAlchemyError) as e:
        reason = e.message if isinstance(e, PonantError) else str(e)
        where = "PONANT_LIVE_DATABASE_URL" if spec.database_url else str(home / "live.db")
        _log.error("Live knowledge cannot start.", database=where, reason=reason)
        sys.exit(1)


async def _serve(spec: wire.LiveSpec, home: Path) -> None:
    database = storage.opened(home, spec.database_url)
    with storage.owned(database, _end_without_database):
        database.migrate("live")
        await _listen(spec, home, database)


async def _listen(spec: wire.LiveSpec, home: Path, database: Database) -> None:
    with zmq.asyncio.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.ROUTER_MANDATORY, 1)
        socket.set(zmq.SNDHWM, 0)
        socket.set(zmq.RCVHWM, 0)
        socket.bind(spec.endpoint)
        roots = [Path(root) for root in spec.roots]
        server = Server(
            socket,
            home,
            database,
            roots,
            spec.networks,
            spec.tables_memory,
            spec.secrets_key,
            spec.brokers,
            spec.vectors,
        )
        await server.run()


def _end_without_database() -> None:
    _log.error("The connection to the database is lost; live knowledge starts again.")
    os._exit(1)


def _end_with_parent() -> None:
    # os.read, since a buffered reader in a thread would hold up an orderly end.
    while os.read(0, 1024):
        pass
    os._exit(0)
