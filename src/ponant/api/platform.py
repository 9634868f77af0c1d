"""The services that the routes speak to, put together once by the command line."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from ponant.accounts import Accounts
from ponant.assistant import Assistant
from ponant.billing import Ledger
from ponant.kit import Clock, Settings
from ponant.live import LiveClient
from ponant.serving import Models
from ponant.store import Database


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything that a request may need; one per process."""

    settings: Settings
    clock: Clock
    database: Database
    accounts: Accounts
    ledger: Ledger
    models: Models
    live: LiveClient
    assistant: Assistant


def platform(connection: HTTPConnection) -> Platform:
    """The platform of the application that serves this connection."""
    found: Platform = connection.app.state.platform
    return found
