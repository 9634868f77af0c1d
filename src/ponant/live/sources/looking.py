"""What sources have in common that are looked at from time to time, most of them over HTTP."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated
from urllib.parse import urlsplit

import httpx
import msgspec

from ponant.kit.errors import BadRequest, Forbidden
from ponant.live.reading.parsing import LARGEST_FILE, UnreadableDocument
from ponant.live.sources.kind import Context
from ponant.live.sources.port import Batch, SignInRefused, SourceFault

Interval = Annotated[float, msgspec.Meta(ge=0.1, le=86_400)]
"""Seconds between two looks."""

_UNSETTLED = timedelta(seconds=2)  # times in HTTP are whole seconds
_PORTS = {"http": 80, "https": 443}


async def looked(look: Callable[[], Awaitable[Batch]], interval: float) -> AsyncGenerator[Batch]:
    """A batch from each look, with a pause in between."""
    while True:
        yield await look()
        await asyncio.sleep(interval)


def checked_url(url: str, context: Context) -> str:
    """A web address that may be followed.

    Raises:
        BadRequest: it is none, or carries a password.
        Forbidden: it leads into this machine or its network.
    """
    parts = urlsplit(url)
    try:
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        port = 0
    if not port or not parts.hostname:
        raise BadRequest(
            f"{url[:200]!r} is no web address. It begins with https:// or http://.", param="config"
        )
    if parts.username or parts.password:
        raise BadRequest(
            "The address carries a name or a password. Send them as username and password, so "
            "that they are never shown.",
            param="config",
        )
    context.network.check(parts.hostname, port)
    return url


async def got(
    client: httpx.AsyncClient, url: str, headers: dict[str, str] | None = None
) -> tuple[httpx.Response, bytes]:
    """An answer and its body, which is read no further than a document may be long.

    Raises:
        UnreadableDocument: it is too large.
        SourceFault: there is no answer.
    """
    try:
        async with client.stream("GET", url, headers=headers) as response:
            length = int(response.headers.get("content-length") or 0)
            data = bytearray()
            if length <= LARGEST_FILE:
                async for piece in response.aiter_bytes():
                    data += piece
                    if len(data) > LARGEST_FILE:
                        break
            if max(length, len(data)) > LARGEST_FILE:
                raise UnreadableDocument(
                    f"{url} holds more than {LARGEST_FILE // 2**20} MiB, which is the most that "
                    "a document may have."
                )
            return response, bytes(data)
    except (httpx.HTTPError, httpx.InvalidURL, Forbidden) as e:
        raise fault_of(url, e) from e


def fault_of(url: str, error: Exception) -> SourceFault:
    """What kept a request from being answered, with its mend."""
    host = urlsplit(url).hostname or url
    if isinstance(error, Forbidden):
        return SourceFault(error.message)
    if isinstance(error, httpx.TimeoutException):
        return SourceFault(f"{host} did not answer in time. What was last read answers.")
    if isinstance(error, httpx.TooManyRedirects):
        return SourceFault(f"{url} leads from one place to the next without end. Check it.")
    reason = str(error) or type(error).__name__  # a connection that ended says nothing of itself
    return SourceFault(
        f"{host} cannot be reached ({reason}). Check the address and that it runs; what was last "
        "read answers."
    )


def refused(url: str, status: int, *, signs_in: bool = True) -> SourceFault:
    """An answer that says no, with its mend.

    Args:
        signs_in: whether the source has a password that may be wrong.
    """
    if status in (401, 403) and not signs_in:
        return SourceFault(
            f"{url} refused to be read ({status}): it is not for everybody. Choose a page that is, "
            "or have a program push what it says."
        )
    if status in (401, 403):
        return SignInRefused(
            f"{url} refused to be read ({status}): the name or the password is wrong or may not "
            "read it. Set the source's password anew (ponant live sign-in)."
        )
    if status in (404, 410):
        return SourceFault(
            f"There is nothing at {url} ({status}). Check the address; what was last read answers."
        )
    return SourceFault(f"{url} answered with an error ({status}). It is tried again.")


def is_settled(modified: str | None, now: str | None) -> bool:
    """Whether a later write would show, as times in HTTP are whole seconds."""
    if modified is None or now is None:
        return True
    try:
        return parsedate_to_datetime(now) - parsedate_to_datetime(modified) > _UNSETTLED
    except (TypeError, ValueError):
        return True
