"""How every contender asks the bench's embedder; it needs NumPy and nothing of Ponant."""

import http.client
import json
import threading
from collections.abc import Sequence
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

DIMENSION = 384
_here = threading.local()


def embed(url: str, texts: Sequence[str], kind: str) -> NDArray[np.float32]:
    """Vectors of shape (len(texts), DIMENSION), rows of length 1.

    Args:
        url: the embedder's address with the name under which it counts the caller.
    """
    parts = urlsplit(url)
    body = json.dumps({"texts": list(texts), "kind": kind})
    data = _post(parts.netloc, parts.path, body)
    return np.frombuffer(data, np.float32).reshape(len(texts), DIMENSION)


def count(url: str, texts: Sequence[str]) -> list[int]:
    """Tokens of each text, as the embedder at ``url`` counts them."""
    body = json.dumps({"texts": list(texts)})
    counts: list[int] = json.loads(_post(urlsplit(url).netloc, "/count", body))
    return counts


def _post(host: str, path: str, body: str) -> bytes:
    """One request over a connection that is kept, made anew where the other side closed it."""
    for attempt in range(2):
        connection = getattr(_here, "connection", None)
        if connection is None or _here.host != host:
            connection = _here.connection = http.client.HTTPConnection(host, timeout=600)
            _here.host = host
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            data = response.read()
        except (ConnectionError, http.client.HTTPException):
            _here.connection = None
            if attempt:
                raise
        else:
            if response.status != 200:
                raise RuntimeError(f"The embedder answered {response.status}: {data[:200]!r}")
            return data
    raise RuntimeError("unreachable")
