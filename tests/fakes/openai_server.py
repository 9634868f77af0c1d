"""A small OpenAI-compatible server: it answers with the last message, in pieces."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FakeOpenAI:
    """What the server does, and what it was asked.

    Attributes:
        key: the key it wants, or None.
        status: what it answers every request but listing with.
        broken_off: whether a stream ends with an error in its middle.
        asked: bodies of requests, with the path under ``path``.
    """

    url: str = ""
    key: str | None = None
    status: int = 200
    broken_off: bool = False
    tool_call: bool = False
    left_early: threading.Event = field(default_factory=threading.Event)
    asked: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def fake_openai() -> Iterator[FakeOpenAI]:
    """A server on a free port of the loopback."""
    fake = FakeOpenAI()

    class Handler(_Handler):
        state = fake

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: FakeOpenAI

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""

    def do_GET(self) -> None:
        if self._welcome():
            models = [{"id": "parrot", "created": 7}, {"id": "text-embed-1"}, {"nonsense": 1}]
            self._send({"object": "list", "data": models})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.state.asked.append(body | {"path": self.path})
        if not self._welcome():
            return
        if self.state.status in (301, 302):
            self.send_response(self.state.status)
            self.send_header("location", "http://127.0.0.1:1/")
            self.end_headers()
        elif self.state.status != 200:
            self._send({"error": {"message": "the parrot is unwell"}}, self.state.status)
        elif self.path == "/v1/embeddings":
            rows = [{"index": i, "embedding": [3.0, 4.0]} for i in range(len(body["input"]))]
            usage = {"prompt_tokens": 5, "total_tokens": 5}
            self._send({"data": rows[::-1], "usage": usage})
        else:
            self._stream(body)

    def _welcome(self) -> bool:
        wanted = self.state.key
        if wanted is None or self.headers.get("authorization") == f"Bearer {wanted}":
            return True
        self._send({"error": {"message": "no such key"}}, 401)
        return False

    def _send(self, body: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        try:
            for chunk in self._chunks(body):
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                self.wfile.flush()
            self.wfile.write(b"data: [DONE]\n\n")
        except (BrokenPipeError, ConnectionResetError):
            self.state.left_early.set()

    def _chunks(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        chat = "messages" in body
        said = body["messages"][-1]["content"] if chat else body["prompt"]
        words = said.split(" ")
        for number, word in enumerate(words):
            text = word if number == 0 else f" {word}"
            piece: dict[str, Any] = {"delta": {"content": text}} if chat else {"text": text}
            yield {"choices": [{"index": 0, "finish_reason": None, **piece}]}
            if self.state.broken_off:
                yield {"error": {"message": "the parrot fell asleep"}}
        if self.state.tool_call:
            yield from self._call_in_pieces()
        yield {"choices": [{"index": 0, "delta": {}, "text": "", "finish_reason": "stop"}]}
        usage = {"prompt_tokens": 3, "completion_tokens": len(words)}
        usage |= {"prompt_tokens_details": {"cached_tokens": 1}}
        yield {"choices": [], "usage": usage}

    def _call_in_pieces(self) -> Iterator[dict[str, Any]]:
        pieces: list[dict[str, Any]] = [
            {"index": 0, "id": "call_0001", "function": {"name": "fetch", "arguments": ""}},
            {"index": 0, "function": {"arguments": '{"url": '}},
            {"index": 0, "function": {"arguments": '"a"}'}},
        ]
        for piece in pieces:
            yield {"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]}
