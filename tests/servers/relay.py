"""A relay on loopback that keeps what clients say: what a listener on the way would see."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Relay:
    """Passes connections on to a port.

    Attributes:
        heard: all that clients sent.
        replies: what the server says in the place of what it said, as somebody in between could.
    """

    def __init__(self, to: int) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.heard = bytearray()
        self.replies: dict[bytes, bytes] = {}

    def serve(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                for pair in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def close(self) -> None:
        # A thread that waits in accept is not woken by closing alone.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _pass_on(self, one: socket.socket, other: socket.socket, from_client: bool) -> None:
        with suppress(OSError):
            while data := one.recv(65_536):
                if from_client:
                    self.heard += data
                else:
                    for said, instead in self.replies.items():
                        data = data.replace(said, instead)
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def relaying(to: int) -> Iterator[Relay]:
    """A relay until the end of the block."""
    relay = Relay(to)
    threading.Thread(target=relay.serve, daemon=True).start()
    try:
        yield relay
    finally:
        relay.close()
