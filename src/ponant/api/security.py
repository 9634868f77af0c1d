"""What stands before every route: whom a request is meant for, whence it comes, how large it is.

A page on another site must not reach a server on this machine through its reader's browser, so a
Host that is not ours (DNS rebinding) and an Origin that is not the Host's are refused. Ports of the
Host are not compared: forwarded ones differ, and a rebound name is foreign whatever its port.
"""

import ipaddress
import re
import socket
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

import structlog
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ponant.api.auth import SESSION_COOKIE, identify
from ponant.api.errors import (
    CORRELATION_HEADER,
    HttpError,
    correlation_id,
    error_response,
    unexpected_response,
)
from ponant.api.platform import Platform
from ponant.kit import PonantError, Settings
from ponant.kit.errors import Forbidden, Unauthorized

LARGEST_BODY = 32 << 20
LARGEST_UPLOAD = 101 << 20  # the largest file of a library, and what a form puts around it
_LARGEST_FROM_ANYBODY = 1 << 20  # more is read only from callers whom we know

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared, not bound
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_PUBLIC_HEADERS = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
_PRIVATE_HEADERS = [*_PUBLIC_HEADERS, (b"cache-control", b"no-store")]
_CORRELATION = CORRELATION_HEADER.encode()

log = structlog.get_logger()


class SecurityMiddleware:
    """Refuses what is not meant for this server and marks every response."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._hosts = _Hosts(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._hosts.check(headers)
        except PonantError as e:
            await _refuse(scope, receive, send, e)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        await self._serve(scope, receive, _marked(scope, send))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        answering = False

        async def watched_send(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        body = _Body(scope, receive)
        try:
            await body.check_length()
            await self._app(scope, body.receive, watched_send)
        except PonantError as e:
            await error_response(Request(scope), e)(scope, receive, send)
        except Exception as e:  # noqa: BLE001 - nobody above says it without a traceback
            response = unexpected_response(Request(scope), e)
            if not answering:
                await response(scope, receive, send)


class _Hosts:
    """The names under which this server may be addressed."""

    def __init__(self, settings: Settings) -> None:
        host = settings.host.lower()
        self._any_address = host in _EVERYWHERE
        self._names = {host} - _EVERYWHERE
        if settings.on_loopback or self._any_address:
            self._names |= _LOOPBACK
        if self._any_address:
            self._names |= {socket.gethostname().lower()}
        self._public_origin: tuple[str, str, str] | None = None
        if settings.public_url:
            self._public_origin = _origin(settings.public_url)
            self._names |= {self._public_origin[1]} - _EVERYWHERE

    def check(self, headers: Headers) -> None:
        """Refuse a request that names another host, or comes from another site's page.

        Raises:
            HttpError: 400 without a readable Host, 421 with a foreign one.
            Forbidden: the Origin is foreign.
        """
        given = headers.getlist("host")
        match = _HOST.fullmatch(given[0].lower()) if len(given) == 1 else None
        if match is None:
            raise HttpError(400, "The request needs exactly one readable Host header.")
        name, port = match[1].strip("[]").rstrip("."), match[2]
        if not self._is_ours(name):
            raise HttpError(
                421,
                f"This server does not answer to the name {name}. Use the address that it printed "
                "at its start, or set PONANT_PUBLIC_URL to the address that people use.",
            )
        for origin in headers.getlist("origin"):
            if not self._is_same_site(origin, name, port):
                raise Forbidden(
                    "The request comes from a page of another site, which may not use this server."
                )

    def _is_ours(self, name: str) -> bool:
        # A name can be rebound to any address; an address cannot.
        return name in self._names or (self._any_address and _is_address(name))

    def _is_same_site(self, origin: str, name: str, port: str | None) -> bool:
        scheme, origin_name, origin_port = _origin(origin)
        if scheme not in _DEFAULT_PORTS:
            return False
        if (scheme, origin_name, origin_port) == self._public_origin:
            return True
        return (origin_name, origin_port) == (name, port or _DEFAULT_PORTS[scheme])


def _origin(url: str) -> tuple[str, str, str]:
    """Scheme, name and port of an address; empty where it has none."""
    try:
        parts = urlsplit(url.lower())
        port = parts.port
    except ValueError:
        return "", "", ""
    name = (parts.hostname or "").rstrip(".")
    return parts.scheme, name, str(port or _DEFAULT_PORTS.get(parts.scheme, ""))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class _Body:
    """A request's body as it comes in, ended when it is too large for who sends it."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self._receive = receive
        self._headers = Headers(scope=scope)
        is_form = self._headers.get("content-type", "").lower().startswith("multipart/form-data")
        self._largest = LARGEST_UPLOAD if is_form else LARGEST_BODY
        self._known = False
        self._seen = 0

    async def check_length(self) -> None:
        """Refuse by the announced length, before anything is read."""
        announced = self._headers.get("content-length", "")
        if announced.isdecimal():
            await self._check(int(announced))

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            try:
                await self._check(self._seen)
            except PonantError as e:
                # The framework lets this one pass through its parsing of the body.
                raise HTTPException(e.status, e.message) from e
        return message

    async def _check(self, length: int) -> None:
        if length > self._largest:
            raise HttpError(
                413, f"The request is larger than {self._largest >> 20} MiB. Send it in parts."
            )
        if length > _LARGEST_FROM_ANYBODY and not self._known:
            await run_in_threadpool(self._identify)
            self._known = True

    def _identify(self) -> None:
        services: Platform = self._scope["app"].state.platform
        scheme, key = get_authorization_scheme_param(self._headers.get("authorization"))
        is_bearer = scheme.lower() == "bearer"
        identify(services.accounts, key if is_bearer else None, self._cookie())

    def _cookie(self) -> str | None:
        try:
            found = SimpleCookie(self._headers.get("cookie", "")).get(SESSION_COOKIE)
        except CookieError as e:
            raise Unauthorized("The cookie header cannot be read.") from e
        return found.value if found else None


def _marked(scope: Scope, send: Send) -> Send:
    """A send that adds to each response the headers that all of ours carry."""
    is_private = scope["path"].startswith(("/v1/", "/mcp"))

    async def marked_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            raw = message["headers"] = list(message.get("headers", ()))
            there = {name for name, _ in raw}
            added = _PRIVATE_HEADERS if is_private else _PUBLIC_HEADERS
            raw.extend(header for header in added if header[0] not in there)
            if _CORRELATION not in there:
                raw.append((_CORRELATION, correlation_id(Request(scope)).encode()))
        await send(message)

    return marked_send


async def _refuse(scope: Scope, receive: Receive, send: Send, error: PonantError) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": error.message[:100]})
        return
    await error_response(Request(scope), error)(scope, receive, _marked(scope, send))
