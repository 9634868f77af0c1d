"""``ponant people``: the members of a workspace."""

from typing import Annotated

import typer

from ponant.accounts import Accounts, Principal, Role
from ponant.cli.local import as_administrator, print_rows
from ponant.kit import Settings
from ponant.kit.errors import NotFound

app = typer.Typer(help="Add, list and remove people.", no_args_is_help=True)

_COLUMNS = {"id": "id", "name": "name", "email": "e-mail", "role": "role", "groups": "groups"}

Person = Annotated[str, typer.Argument(help="The person's id or e-mail address.")]
Workspace = Annotated[
    str | None, typer.Option(help="Name or id of the workspace; the first one if left out.")
]


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What the person is called.")],
    email: Annotated[str | None, typer.Option(help="E-mail address.")] = None,
    role: Annotated[Role, typer.Option(help="What the person may do.")] = Role.MEMBER,
    workspace: Workspace = None,
) -> None:
    """Add a person to a workspace and print a key that speaks for them, this once."""
    accounts, administrator = acting(workspace)
    made = accounts.directory.add_person(
        administrator, name, email, role, governor=accounts.administrator()
    )
    person = accounts.directory.act_as(administrator, made.id)
    typer.echo(accounts.issue_key(administrator, person, "first").key)
    typer.echo(f"{made.id}, role {role}. The key is stored nowhere: keep it now.", err=True)


@app.command("list")
def list_(
    workspace: Workspace = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the members of a workspace."""
    accounts, administrator = acting(workspace)
    print_rows(accounts.directory.people(administrator), _COLUMNS, as_json=as_json)


@app.command("remove")
def remove(person: Person, workspace: Workspace = None) -> None:
    """End somebody's membership, and their keys in the workspace."""
    accounts, administrator = acting(workspace)
    person_id = find(accounts, administrator, person)
    accounts.directory.remove_person(administrator, person_id)
    typer.echo(f"{person_id} is no member any more.")


def find(accounts: Accounts, administrator: Principal, person: str) -> str:
    """The id of a member who is named by id or address.

    Raises:
        NotFound: nobody is.
    """
    for one in accounts.directory.people(administrator):
        if person == one.id or (one.email and person.casefold() == one.email):
            return one.id
    raise NotFound(f"There is no person {person}. `ponant people list` shows who is there.")


def acting(workspace: str | None) -> tuple[Accounts, Principal]:
    """The accounts, and the first administrator as one of that workspace."""
    accounts, administrator = as_administrator(Settings.load())
    if workspace is None:
        return accounts, administrator
    return accounts, accounts.directory.in_workspace(administrator, workspace)
