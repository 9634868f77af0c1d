"""A small Hugging Face hub in this process: repositories in memory, over real HTTP on loopback."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

_PIECE = 1 << 16
_LARGE = (".gguf", ".safetensors", ".bin")
_RESOLVE = re.compile(r"^/([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")
_API = re.compile(r"^/api/models/([^/]+/[^/]+?)(?:/(revision|tree)/([^/]+))?/?$")


class FakeHub:
    """Serves models to stock clients; what is large is announced with its SHA-256, as LFS is.

    Attributes:
        cut: paths whose next download breaks off after so many bytes; each breaks once.
        tampered: paths that are served with one byte changed.
        ranges: the Range headers that came, by path.
        knows_ranges: whether a Range header is heeded.
    """

    commit = "0123456789abcdef0123456789abcdef01234567"

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.tags: dict[str, list[str]] = {}
        self.cut: dict[str, int] = {}
        self.tampered: set[str] = set()
        self.ranges: dict[str, list[str]] = {}
        self.knows_ranges = True
        self.sent = 0
        self.url = ""

    @contextmanager
    def running(self) -> Iterator["FakeHub"]:
        """Listen on a free port of this machine while the block runs."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def card(self, model_id: str) -> dict[str, object]:
        """The answer to /api/models/{id}."""
        names = [{"rfilename": name} for name in self.repositories[model_id]]
        tags = self.tags.get(model_id, [])
        shown = {"id": model_id, "sha": self.commit, "private": False}
        return {**shown, "siblings": names, "tags": tags}

    def tree(self, model_id: str) -> list[dict[str, object]]:
        """The answer to /api/models/{id}/tree/{revision}?recursive."""
        return [_entry(name, data) for name, data in self.repositories[model_id].items()]


def _entry(name: str, data: bytes) -> dict[str, object]:
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    entry: dict[str, object] = {"type": "file", "path": name, "size": len(data), "oid": blob}
    if name.endswith(_LARGE):
        digest = hashlib.sha256(data).hexdigest()
        entry["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 134}
    return entry


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            if match := _RESOLVE.match(path):
                self._file(match[1], match[3], body=body)
            elif (match := _API.match(path)) and match[1] in hub.repositories:
                answer = hub.tree(match[1]) if match[2] == "tree" else hub.card(match[1])
                self._send(200, json.dumps(answer).encode(), {}, body=body)
            else:
                self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body=body)

        def _file(self, model_id: str, name: str, *, body: bool) -> None:
            data = hub.repositories.get(model_id, {}).get(name)
            headers = {"X-Repo-Commit": hub.commit}
            if data is None:
                self._send(404, b"", {**headers, "X-Error-Code": "EntryNotFound"}, body=body)
                return
            entry = _entry(name, data)
            lfs = entry.get("lfs")
            headers["ETag"] = f'"{lfs["oid"] if isinstance(lfs, dict) else entry["oid"]}"'
            headers["Accept-Ranges"] = "bytes"
            if name in hub.tampered:
                data = bytes([data[0] ^ 1]) + data[1:]
            status, start = 200, 0
            if (asked := self.headers.get("Range")) and hub.knows_ranges:
                hub.ranges.setdefault(name, []).append(asked)
                start = int(asked.removeprefix("bytes=").partition("-")[0])
                status = 206
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self._send(status, data[start:], headers, body=body, cut=hub.cut.get(name))
            if body and start == 0:
                hub.cut.pop(name, None)

        def _send(
            self,
            status: int,
            content: bytes,
            headers: dict[str, str],
            *,
            body: bool,
            cut: int | None = None,
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if not body:
                return
            content = content if cut is None else content[:cut]
            with suppress(ConnectionError):  # the client may leave
                for start in range(0, len(content), _PIECE):
                    self.wfile.write(content[start : start + _PIECE])
                    hub.sent += len(content[start : start + _PIECE])
            if cut is not None:
                self.close_connection = True

    return Handler
