"""``ponant keys``: make, list and revoke API keys."""

from typing import Annotated

import typer

from ponant.accounts import Role
from ponant.cli.local import as_administrator, print_rows
from ponant.kit import Settings

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)

_COLUMNS = {
    "id": "id",
    "name": "name",
    "role": "role",
    "hint": "ends in",
    "created_at": "made",
    "last_used_at": "last used",
    "revoked_at": "revoked",
}


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    role: Annotated[Role, typer.Option(help="What the key may do.")] = Role.MEMBER,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a key and print it, this once."""
    accounts, administrator = as_administrator(Settings.load())
    made = accounts.create_key(administrator, name, role)
    if as_json:
        print_rows([made], {}, as_json=True)
        return
    typer.echo(made.key)
    typer.echo(f"{made.info.id}, role {role}. The key is stored nowhere: keep it now.", err=True)


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the workspace's keys."""
    accounts, administrator = as_administrator(Settings.load())
    print_rows(accounts.list_keys(administrator), _COLUMNS, as_json=as_json)


@app.command("revoke")
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id, from the list.")]) -> None:
    """End a key, at once and for good."""
    accounts, administrator = as_administrator(Settings.load())
    accounts.revoke_key(administrator, key_id)
    typer.echo(f"{key_id} is revoked.")
