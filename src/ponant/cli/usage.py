"""``ponant usage``: what was used, summed up."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from ponant.accounts import Accounts, Principal
from ponant.billing import GroupBy, Ledger, UsageSum
from ponant.cli.home import open_database
from ponant.cli.local import as_administrator, print_rows
from ponant.kit import Settings, SystemClock

_DEFAULT_SPAN = timedelta(days=30)
_NO_KEY = "(page)"
_SUMS = {
    "requests": "requests",
    "aborted": "aborted",
    "prompt_tokens": "input",
    "cached_tokens": "of it cached",
    "completion_tokens": "output",
    "reasoning_tokens": "of it thinking",
}


def usage(
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="First day (UTC); 30 days ago if not given."),
    ] = None,
    by: Annotated[GroupBy, typer.Option(help="What each row stands for.")] = GroupBy.DAY,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Sum up requests and tokens by day, model or key."""
    settings = Settings.load()
    accounts, administrator = as_administrator(settings)
    clock = SystemClock()
    now = clock.now()
    start = since.replace(tzinfo=UTC) if since else now - _DEFAULT_SPAN
    ledger = Ledger(open_database(settings), clock)
    rows = ledger.summary(administrator, start, now, by)
    if by is GroupBy.KEY and not as_json:
        rows = _named(rows, accounts, administrator)
    print_rows(rows, {"group": by.value} | _SUMS, as_json=as_json)


def _named(rows: list[UsageSum], accounts: Accounts, administrator: Principal) -> list[UsageSum]:
    """The rows with each key's name in place of its id."""
    names = {key.id: key.name for key in accounts.list_keys(administrator)}
    return [replace(row, group=names.get(row.group, row.group) or _NO_KEY) for row in rows]
