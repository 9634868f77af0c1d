"""The home folder and its database, for commands that need no more than that."""

import os

from ponant.accounts import Accounts, FirstStart
from ponant.kit import Settings, SystemClock
from ponant.kit.errors import SetupError
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
