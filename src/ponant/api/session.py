"""Signing in to the page with the token of a link, and out again."""

from typing import Annotated, Any

from fastapi import APIRouter, Cookie, Request, Response
from pydantic import BaseModel

from ponant.accounts import SESSION_LIFE
from ponant.api.auth import SESSION_COOKIE
from ponant.api.identity import who
from ponant.api.platform import Services

router = APIRouter(prefix="/v1/session", tags=["session"])


class TokenBody(BaseModel):
    """The request of ``POST /v1/session``; the token stands behind ``#`` in the sign-in link."""

    token: str


@router.post("", summary="Sign in")
def sign_in(
    body: TokenBody, request: Request, response: Response, services: Services
) -> dict[str, Any]:
    """Trade a link's token, which works once, for a session cookie of 30 days."""
    cookie, caller = services.accounts.open_session(body.token)
    response.set_cookie(
        SESSION_COOKIE,
        cookie,
        max_age=int(SESSION_LIFE.total_seconds()),
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="strict",
    )
    return who(caller, services.accounts.identity(caller))


@router.delete("", status_code=204, summary="Sign out")
def sign_out(
    request: Request,
    services: Services,
    cookie: Annotated[str | None, Cookie(alias=SESSION_COOKIE, include_in_schema=False)] = None,
) -> Response:
    """End the session of this browser."""
    if cookie is not None:
        services.accounts.close_session(cookie)
    response = Response(status_code=204)
    response.delete_cookie(
        SESSION_COOKIE, path="/", secure=_is_secure(request), httponly=True, samesite="strict"
    )
    return response


def _is_secure(request: Request) -> bool:
    # A browser keeps such a cookie to https. Behind a proxy that ends TLS, only the browser's own
    # Origin tells that it speaks https.
    origin = request.headers.get("origin", "")
    return request.url.scheme == "https" or origin.startswith("https:")
