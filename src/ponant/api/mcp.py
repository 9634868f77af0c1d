"""The door for any client of the Model Context Protocol, at ``/mcp``; `mcp_tools` is behind it.

Streamable HTTP without sessions: every request carries its key, and nothing is kept between two.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ponant.api.auth import identify
from ponant.api.errors import error_response
from ponant.api.platform import platform
from ponant.kit import PonantError

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[None]:
    """Answer at ``/mcp`` while the block runs."""
    app.state.mcp = _Protocol()
    task = asyncio.create_task(app.state.mcp.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def mount(app: FastAPI) -> None:
    """Put ``/mcp`` among the routes; clients may write it with a slash at the end."""
    for path in ("/mcp", "/mcp/"):
        app.router.routes.append(Route(path, endpoint=_Endpoint()))


class _Protocol:
    """The protocol's library, loaded at the first request.

    It takes 20 MB and a third of the server's time to start, and many servers are never asked.
    """

    def __init__(self) -> None:
        self._wanted = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._manager: asyncio.Future[StreamableHTTPSessionManager] = loop.create_future()

    async def run(self) -> None:
        """Load the library when it is wanted, and keep it running until cancelled."""
        try:
            await self._wanted.wait()
            tools = await asyncio.to_thread(import_module, "ponant.api.mcp_tools")
            manager = tools.session_manager()
            async with manager.run():
                self._manager.set_result(manager)
                await asyncio.Event().wait()
        finally:
            self._manager.cancel()  # no effect once it is there; else nobody waits for ever

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._wanted.set()
        # Shielded: others wait for it, too, when one who asked leaves.
        manager = await asyncio.shield(self._manager)
        await manager.handle_request(scope, receive, send)


class _Endpoint:
    """Lets callers with a key through to the protocol."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        scheme, key = get_authorization_scheme_param(request.headers.get("Authorization"))
        # Only a key counts: a page's cookie would let other programs act for its reader.
        given = key if scheme.lower() == "bearer" else None
        try:
            caller = await run_in_threadpool(identify, platform(request).accounts, given, None)
        except PonantError as e:
            await error_response(request, e)(scope, receive, send)
            return
        scope.setdefault("state", {})["principal"] = caller
        await request.app.state.mcp.handle(scope, receive, send)
