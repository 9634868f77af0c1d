"""Who is calling: an API key in the header, or the session cookie of the page."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from ponant.accounts import Accounts, Principal, Role, wrong_key
from ponant.api.platform import Services
from ponant.kit.errors import Forbidden

SESSION_COOKIE = "ponant_session"

bearer_of = HTTPBearer(auto_error=False, description="An API key.")
cookie_of = APIKeyCookie(name=SESSION_COOKIE, auto_error=False, description="The page's session.")


def identify(accounts: Accounts, key: str | None, cookie: str | None) -> Principal:
    """Whom a key or else a session cookie speaks for. Asks the database: run it in a thread.

    Raises:
        Unauthorized: neither is there, or the one that counts is wrong.
    """
    if key is not None:
        return accounts.principal_for_key(key)
    if cookie is not None:
        return accounts.principal_for_session(cookie)
    raise wrong_key()


async def principal(
    services: Services,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(bearer_of)],
    cookie: Annotated[str | None, Security(cookie_of)],
) -> Principal:
    """The caller. A dependency of every route but the few that need no key."""
    key = bearer.credentials if bearer else None
    if key is not None:
        return await services.lookups.principal(key)
    return await run_in_threadpool(identify, services.accounts, key, cookie)


def require(role: Role) -> Callable[[Principal], Awaitable[Principal]]:
    """A dependency that lets pass who has at least this role."""

    async def check(caller: Annotated[Principal, Depends(principal)]) -> Principal:
        if caller.role.covers(role):
            return caller
        raise Forbidden(
            f"This needs the role {role}, and yours is {caller.role}. Ask an administrator."
        )

    return check


member = require(Role.MEMBER)
administrator = require(Role.ADMIN)

Caller = Annotated[Principal, Depends(principal)]
Member = Annotated[Principal, Depends(member)]
Administrator = Annotated[Principal, Depends(administrator)]
