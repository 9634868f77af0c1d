"""``ponant workspaces``: parts of an organisation with libraries and keys of their own."""

from typing import Annotated

import typer

from ponant.cli.local import as_administrator, print_rows
from ponant.kit import Settings

app = typer.Typer(help="Add and list workspaces.", no_args_is_help=True)

_COLUMNS = {"id": "id", "name": "name", "created_at": "made"}


@app.command("add")
def add(name: Annotated[str, typer.Argument(help="Name of the new workspace.")]) -> None:
    """Add a workspace, which the first administrator administers."""
    accounts, administrator = as_administrator(Settings.load())
    typer.echo(accounts.directory.add_workspace(administrator, name).id)


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the workspaces."""
    accounts, administrator = as_administrator(Settings.load())
    print_rows(accounts.directory.workspaces(administrator), _COLUMNS, as_json=as_json)
