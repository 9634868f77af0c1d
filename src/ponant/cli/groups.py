"""``ponant groups``: people whom access lists name together."""

from typing import Annotated

import typer

from ponant.cli.local import as_administrator, print_rows
from ponant.cli.people import Person, find
from ponant.kit import Settings

app = typer.Typer(help="Add, fill and remove groups of people.", no_args_is_help=True)

_COLUMNS = {"id": "id", "name": "name", "members": "members"}

Group = Annotated[str, typer.Argument(help="Name or id of the group.")]


@app.command("add")
def add(name: Annotated[str, typer.Argument(help="Name of the new group.")]) -> None:
    """Add a group; access lists name it as group:NAME."""
    accounts, administrator = as_administrator(Settings.load())
    made = accounts.directory.add_group(administrator, name)
    typer.echo(f"{made.id}: access lists name it as group:{made.name}")


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the groups with their members."""
    accounts, administrator = as_administrator(Settings.load())
    print_rows(accounts.directory.groups(administrator), _COLUMNS, as_json=as_json)


@app.command("join")
def join(group: Group, person: Person) -> None:
    """Put a person into a group."""
    accounts, administrator = as_administrator(Settings.load())
    accounts.directory.join(administrator, group, find(accounts, administrator, person))
    typer.echo(f"{person} is in {group}.")


@app.command("leave")
def leave(group: Group, person: Person) -> None:
    """Take a person out of a group."""
    accounts, administrator = as_administrator(Settings.load())
    accounts.directory.leave(administrator, group, find(accounts, administrator, person))
    typer.echo(f"{person} is not in {group} any more.")


@app.command("remove")
def remove(group: Group) -> None:
    """Remove a group; nobody reads anything by it any more."""
    accounts, administrator = as_administrator(Settings.load())
    accounts.directory.remove_group(administrator, group)
    typer.echo(f"{group} is removed.")
