"""Downloads a file over HTTP, from where an earlier attempt left off, even in another process."""

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path

import httpx

_ATTEMPTS = 5
_PAUSE = 0.5  # seconds before the second attempt; doubles with each
_PIECE = 1 << 20
_TIMEOUT = httpx.Timeout(30.0)


def download(
    url: str,
    part: Path,
    *,
    size: int,
    headers: Mapping[str, str],
    report: Callable[[int], None],
) -> None:
    """Bring ``url`` into ``part``; what lies there already is taken for its beginning.

    Args:
        size: bytes that the whole file has.
        headers: sent along; an authorisation is not carried to another host by a redirect.
        report: called with the bytes that have arrived.

    Raises:
        httpx.HTTPError: the server refuses, or still breaks off after several attempts; what has
            arrived stays in ``part``.
        OSError: the disk is full or cannot be written.
    """
    if part.is_file() and part.stat().st_size > size:
        part.unlink()
    with httpx.Client(follow_redirects=True, timeout=_TIMEOUT) as client:
        for attempt in range(_ATTEMPTS):
            try:
                _continue(client, url, part, size, headers, report)
            except httpx.TransportError:
                if attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(_PAUSE * 2**attempt)
            else:
                return


def _continue(
    client: httpx.Client,
    url: str,
    part: Path,
    size: int,
    headers: Mapping[str, str],
    report: Callable[[int], None],
) -> None:
    start = part.stat().st_size if part.is_file() else 0
    if start == size > 0:
        return
    # a compressed answer would make the sizes incomparable
    asked = {**headers, "Accept-Encoding": "identity"}
    if start:
        asked["Range"] = f"bytes={start}-"
    with client.stream("GET", url, headers=asked) as response:
        response.raise_for_status()
        goes_on = response.status_code == HTTPStatus.PARTIAL_CONTENT
        with part.open("ab" if goes_on else "wb") as file:
            for piece in response.iter_raw(_PIECE):
                file.write(piece)
                report(file.tell())
