"""How commands speak to the running server: as the system user who owns it."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from ponant.cli.address import server_address
from ponant.cli.home import open_accounts
from ponant.kit import Settings
from ponant.kit.errors import PonantError, SetupError


@contextmanager
def signed_in(settings: Settings) -> Iterator[httpx.Client]:
    """A client with a session of the first administrator, closed when the block ends.

    Whoever may write the database may also make a sign-in link, so no key is asked for.

    Raises:
        SetupError: no server runs over this home.
    """
    address = server_address(settings.home)
    if address is None:
        raise SetupError(f"No Ponant serves {settings.home}. Start one with: ponant serve")
    accounts, _ = open_accounts(settings)
    token = accounts.create_link(accounts.administrator())
    with httpx.Client(base_url=address.url, timeout=httpx.Timeout(10, read=None)) as client:
        checked(client.post("/v1/session", json={"token": token}))
        try:
            yield client
        finally:
            client.delete("/v1/session")


def checked(response: httpx.Response) -> httpx.Response:
    """The response, where it succeeded.

    Raises:
        PonantError: with the server's own sentence.
    """
    if response.is_success:
        return response
    response.read()
    try:
        message = response.json()["message"]
    except (ValueError, KeyError):
        message = f"The server answered {response.status_code}."
    raise PonantError(message)
