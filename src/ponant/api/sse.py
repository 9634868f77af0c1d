"""Server-sent events: framing, keep-alive comments, and errors before and after the first byte.

Keep-alives are comments, since an event without content crashes stock clients. Source: WHATWG HTML,
section 9.2.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import anyio
import msgspec
from starlette.responses import StreamingResponse

from ponant.kit import PonantError

_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
_KEEPALIVE_SECONDS = 10.0
_FIRST_SECONDS = 2.0


def frame(data: Any, event: str | None = None, number: int | None = None) -> bytes:
    """One event; ``data`` is a string that is sent as it stands, or anything msgspec encodes."""
    body = data.encode() if isinstance(data, str) else msgspec.json.encode(data)
    head = b"" if number is None else f"id: {number}\n".encode()
    if event is not None:
        head += f"event: {event}\n".encode()
    return head + b"data: " + body + b"\n\n"


async def stream(
    frames: AsyncGenerator[bytes],
    on_error: Callable[[PonantError], bytes],
    headers: dict[str, str] | None = None,
) -> StreamingResponse:
    """A response that sends ``frames``, and closes them when the client leaves.

    An error within the first two seconds is raised, so that it leaves with a status of its own;
    later ones become the frame that ``on_error`` makes.
    """
    first = asyncio.ensure_future(anext(frames))
    try:
        await asyncio.wait({first}, timeout=_FIRST_SECONDS)
    except asyncio.CancelledError:
        first.cancel()
        await frames.aclose()
        raise
    if first.done() and not isinstance(first.exception(), StopAsyncIteration):
        first.result()
    return StreamingResponse(
        _with_keepalives(first, frames, on_error),
        media_type="text/event-stream",
        headers=_HEADERS | (headers or {}),
    )


async def _with_keepalives(
    pending: "asyncio.Future[bytes]",
    frames: AsyncGenerator[bytes],
    on_error: Callable[[PonantError], bytes],
) -> AsyncGenerator[bytes]:
    async with aclosing(frames):
        try:
            while True:
                if not pending.done():
                    await asyncio.wait({pending}, timeout=_KEEPALIVE_SECONDS)
                if not pending.done():
                    yield b": keepalive\n\n"
                    continue
                yield pending.result()
                pending = asyncio.ensure_future(anext(frames))
        except StopAsyncIteration:
            return
        except PonantError as e:
            yield on_error(e)
        finally:
            await _settle(pending)


async def _settle(pending: "asyncio.Future[bytes]") -> None:
    """Let an interrupted step run its clean-up before its generator is closed."""
    pending.cancel()
    # The client's leaving cancels this task too, again at each await that is not shielded.
    with anyio.CancelScope(shield=True):
        await asyncio.wait({pending})
