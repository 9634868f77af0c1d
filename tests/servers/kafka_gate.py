"""The door of a Kafka broker: TLS and SASL/PLAIN as the protocol has them, and no topic behind it.

librdkafka's mock cluster offers neither. Requests and answers: https://kafka.apache.org/protocol
"""

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_METADATA, _HANDSHAKE, _VERSIONS, _AUTHENTICATE = 3, 17, 18, 36
_OFFERED = ((_METADATA, 0, 1), (_HANDSHAKE, 0, 1), (_VERSIONS, 0, 0), (_AUTHENTICATE, 0, 0))
_NO_SUCH_TOPIC, _OTHER_MECHANISM, _OLD_CLIENTS_ONLY, _WRONG = 3, 33, 35, 58


class Gate:
    """Listens on loopback.

    Attributes:
        mechanisms: that clients asked for.
        tokens: that clients signed in with, as the protocol carries them.
        topics: how many lists of topics were asked for, by who is signed in.
    """

    def __init__(self, certificate: Path, key: Path, user: str, password: str) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._token = f"\0{user}\0{password}".encode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.mechanisms: list[str] = []
        self.tokens: list[bytes] = []
        self.topics = 0

    def serve(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _talk(self, plain: socket.socket) -> None:
        with suppress(OSError, struct.error, EOFError), plain:
            with self._context.wrap_socket(plain, server_side=True) as connection:
                while True:
                    (length,) = struct.unpack(">i", _read(connection, 4))
                    request = _read(connection, length)
                    kind, version, number = struct.unpack_from(">hhi", request)
                    answer = struct.pack(">i", number) + self._answer(kind, version, request)
                    connection.sendall(struct.pack(">i", len(answer)) + answer)

    def _answer(self, kind: int, version: int, request: bytes) -> bytes:
        (name,) = struct.unpack_from(">h", request, 8)
        body = request[10 + max(name, 0) :]
        if kind == _VERSIONS:
            error = _OLD_CLIENTS_ONLY if version else 0
            offered = b"".join(struct.pack(">hhh", *one) for one in _OFFERED)
            return struct.pack(">hi", error, len(_OFFERED)) + offered
        if kind == _HANDSHAKE:
            self.mechanisms.append(body[2:].decode())
            error = 0 if self.mechanisms[-1] == "PLAIN" else _OTHER_MECHANISM
            return struct.pack(">hi", error, 1) + _text("PLAIN")
        if kind == _AUTHENTICATE:
            self.tokens.append(body[4:])
            if body[4:] != self._token:
                return struct.pack(">h", _WRONG) + _text("wrong") + struct.pack(">i", 0)
            return struct.pack(">hhi", 0, -1, 0)
        if kind == _METADATA:
            self.topics += 1
            return self._metadata(body)
        raise EOFError

    def _metadata(self, body: bytes) -> bytes:
        """This broker alone, and of every topic that it is not there."""
        broker = struct.pack(">i", 1) + _text("127.0.0.1") + struct.pack(">ih", self.port, -1)
        topics, at = [], 4
        for _ in range(max(0, struct.unpack_from(">i", body)[0])):
            (length,) = struct.unpack_from(">h", body, at)
            name = body[at + 2 : at + 2 + length].decode()
            topics.append(
                struct.pack(">h", _NO_SUCH_TOPIC) + _text(name) + struct.pack(">bi", 0, 0)
            )
            at += 2 + length
        head = struct.pack(">i", 1) + broker + struct.pack(">i", 1)
        return head + struct.pack(">i", len(topics)) + b"".join(topics)


def _read(connection: ssl.SSLSocket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        if not (more := connection.recv(length - len(data))):
            raise EOFError
        data += more
    return data


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


@contextmanager
def gate(certificate: Path, key: Path, user: str, password: str) -> Iterator[Gate]:
    """A door until the end of the block."""
    opened = Gate(certificate, key, user, password)
    threading.Thread(target=opened.serve, daemon=True).start()
    try:
        yield opened
    finally:
        opened.close()
