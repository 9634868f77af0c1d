"""Puts the services of one installation together."""

import os
from dataclasses import dataclass
from typing import cast

from ponant.accounts import Accounts, FirstStart
from ponant.api.platform import Platform
from ponant.assistant import Assistant
from ponant.billing import Ledger
from ponant.hub import Catalogue
from ponant.kit import Settings, SystemClock
from ponant.kit.errors import SetupError
from ponant.live import LiveClient
from ponant.live.served import served_embedder
from ponant.serving import Models, Upstreams
from ponant.store import Database


def require_home(settings: Settings) -> None:
    """Make the home folder where it is missing.

    Raises:
        SetupError: it cannot be made or written.
    """
    try:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as e:
        raise SetupError(
            f"Cannot make the folder {settings.home}: {e.strerror}. Set PONANT_HOME to a folder "
            "that you may write."
        ) from e
    if not os.access(settings.home, os.W_OK | os.X_OK):
        raise SetupError(
            f"Cannot write in {settings.home}. Change its permissions or set PONANT_HOME."
        )


def open_database(settings: Settings) -> Database:
    """The database of accounts and ledger, its tables up to date."""
    require_home(settings)
    if settings.database_url is not None:
        database = Database(settings.database_url.get_secret_value())
    else:
        database = Database.at(settings.home / "ponant.db")
    database.migrate("ponant")
    return database


def open_accounts(settings: Settings) -> tuple[Accounts, FirstStart | None]:
    """Accounts over the installation's database; makes the first ones where there are none."""
    accounts = Accounts(open_database(settings), SystemClock())
    key = settings.admin_key.get_secret_value() if settings.admin_key else None
    return accounts, accounts.ensure_first(key)


def open_platform(settings: Settings) -> tuple[Platform, FirstStart | None]:
    """Every service, not yet started, and the first accounts where this start made them."""
    clock = SystemClock()
    database = open_database(settings)
    accounts = Accounts(database, clock)
    key = settings.admin_key.get_secret_value() if settings.admin_key else None
    first = accounts.ensure_first(key)
    ledger = Ledger(database, clock)
    upstreams = Upstreams(database, clock, settings)
    catalogue = Catalogue(settings.home)
    models = Models(settings, catalogue, upstreams)
    live = LiveClient(settings, served_embedder(models, catalogue))
    assistant = Assistant(database, clock, models, live, ledger)
    return (
        Platform(
            settings=settings,
            clock=clock,
            database=database,
            accounts=accounts,
            ledger=ledger,
            upstreams=upstreams,
            models=models,
            live=live,
            assistant=assistant,
        ),
        first,
    )


def describe_platform() -> Platform:
    """Services that are never started, for whoever only wants to know the routes."""
    settings = Settings()
    return cast("Platform", _Described(settings))


@dataclass(frozen=True)
class _Described:
    settings: Settings
