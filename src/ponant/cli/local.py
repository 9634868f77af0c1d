"""Commands that read and write the database themselves, for the system user who owns it."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from ponant.accounts import Accounts, Principal
from ponant.cli.home import open_accounts
from ponant.kit import Settings


def as_administrator(settings: Settings) -> tuple[Accounts, Principal]:
    """The accounts of this home, and the first administrator, for whom the command acts.

    Where nothing was started yet, this is the first start, and the key it makes is printed.
    """
    accounts, first = open_accounts(settings)
    if first is not None and first.key is not None:
        typer.echo(
            f"First start: the administrator's API key, shown this once: {first.key}", err=True
        )
    return accounts, accounts.administrator()


def print_rows(rows: Sequence[Any], columns: dict[str, str], *, as_json: bool) -> None:
    """Dataclasses as JSON, whole, or as a table of the named columns.

    Args:
        columns: the heading of each field that the table shows.
    """
    records = [asdict(row) for row in rows]
    if as_json:
        typer.echo(json.dumps(records, default=str, indent=2))
        return
    table = Table(*columns.values(), box=None, header_style="bold")
    for record in records:
        table.add_row(*(_shown(record[name]) for name in columns))
    Console(soft_wrap=True, highlight=False, markup=False).print(table)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, tuple):
        return ", ".join(value)
    if hasattr(value, "strftime"):
        return str(value.strftime("%Y-%m-%d %H:%M"))
    return str(value)
