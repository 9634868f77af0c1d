"""``ponant budget``: tokens that a workspace, or a person in it, may use in a month."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated

import typer

from ponant.accounts import Accounts, Principal
from ponant.billing import Budget
from ponant.billing.budgets import Budgets
from ponant.cli.home import open_database
from ponant.cli.local import print_rows
from ponant.cli.people import Workspace, acting, find
from ponant.kit import Settings, SystemClock

app = typer.Typer(help="Limit the tokens of a month.", no_args_is_help=True)

_COLUMNS = {
    "whose": "whose",
    "tokens": "tokens a month",
    "used": "used",
    "reserved": "reserved",
    "left": "left",
    "ends_at": "counted anew (UTC)",
}

Person = Annotated[
    str | None,
    typer.Option(help="Id or e-mail address of a person; the whole workspace if left out."),
]


@dataclass(frozen=True)
class _Row:
    """A budget with the name of whom it is for."""

    whose: str
    person_id: str | None
    tokens: int
    used: int
    reserved: int
    left: int
    month: str
    ends_at: datetime


@app.command("set")
def set_(
    tokens: Annotated[
        int, typer.Argument(min=0, help="Tokens of prompts and answers in a month (UTC).")
    ],
    person: Person = None,
    workspace: Workspace = None,
) -> None:
    """Let a workspace, or a person in it, use so many tokens a month and no more.

    What was used this month counts. A server that runs takes it up within seconds.
    """
    accounts, administrator = acting(workspace)
    person_id = find(accounts, administrator, person) if person else None
    made = _budgets().set(administrator, tokens, person_id)
    _note(accounts, administrator, "budget.set", person_id, {"tokens": tokens})
    typer.echo(f"{made.used:,} of {made.tokens:,} tokens of {made.month} are used.")


@app.command("list")
def list_(
    workspace: Workspace = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the budgets of a workspace and what is left of them this month."""
    accounts, administrator = acting(workspace)
    names = {one.id: one.name for one in accounts.directory.people(administrator)}
    rows = [_row(one, names) for one in _budgets().list(administrator)]
    print_rows(rows, _COLUMNS, as_json=as_json)


@app.command("remove")
def remove(person: Person = None, workspace: Workspace = None) -> None:
    """Hold a workspace, or a person in it, to its budget no more."""
    accounts, administrator = acting(workspace)
    person_id = find(accounts, administrator, person) if person else None
    _budgets().remove(administrator, person_id)
    _note(accounts, administrator, "budget.remove", person_id, {})
    typer.echo("There is no such limit any more.")


def _budgets() -> Budgets:
    return Budgets(open_database(Settings.load()), SystemClock())


def _note(
    accounts: Accounts,
    administrator: Principal,
    action: str,
    person_id: str | None,
    detail: dict[str, int],
) -> None:
    target = person_id or administrator.workspace_id
    accounts.directory.note(administrator, action, target, detail)


def _row(budget: Budget, names: dict[str, str]) -> _Row:
    if budget.person_id is None:
        return _Row(whose="(workspace)", **asdict(budget))
    return _Row(whose=names.get(budget.person_id, budget.person_id), **asdict(budget))
