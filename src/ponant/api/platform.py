"""The services that the routes speak to, put together once by the command line."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from ponant.accounts import Accounts, Lookups
from ponant.accounts.signing import Signer
from ponant.assistant import Assistant
from ponant.assistant.watches import Watches
from ponant.billing import Ledger
from ponant.files import Files, Shelves
from ponant.kit import Clock, Settings
from ponant.live import LiveClient
from ponant.live.pipelines.watching import Pipelines
from ponant.serving import Models, Upstreams
from ponant.store import Database


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything that a request may need; one per process."""

    settings: Settings
    clock: Clock
    database: Database
    accounts: Accounts
    lookups: Lookups
    ledger: Ledger
    upstreams: Upstreams
    models: Models
    live: LiveClient
    files: Files
    shelves: Shelves
    signer: Signer
    assistant: Assistant
    watches: Watches
    pipelines: Pipelines

    async def start(self) -> None:
        """Start the processes that the server owns."""
        await self.ledger.budgets.start()
        await self.models.start()
        await self.live.start()
        await self.watches.start()
        await self.pipelines.start()

    async def close(self) -> None:
        """End them, the newest first."""
        await self.pipelines.close()
        await self.watches.close()
        await self.assistant.close()
        await self.live.close()
        await self.models.close()
        await self.ledger.budgets.close()
        self.ledger.close()
        self.database.close()


def platform(connection: HTTPConnection) -> Platform:
    """The platform of the application that serves this connection."""
    found: Platform = connection.app.state.platform
    return found


async def _platform(connection: HTTPConnection) -> Platform:
    # A coroutine, since the framework runs any other dependency in a thread.
    return platform(connection)


Services = Annotated[Platform, Depends(_platform)]
