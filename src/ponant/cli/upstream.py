"""``ponant upstream``: other servers whose models stand beside ours."""

import asyncio
from typing import Annotated

import httpx
import typer

from ponant.cli.home import open_database
from ponant.cli.local import as_administrator, print_rows
from ponant.kit import PonantError, Settings, SystemClock
from ponant.serving import Upstream, Upstreams, list_models
from ponant.store import Scope

app = typer.Typer(
    help="Add, list and remove servers that speak OpenAI's API, such as Ollama or vLLM.",
    no_args_is_help=True,
)

_COLUMNS = {"name": "name", "url": "address", "key_env": "key from"}


@app.command("add")
def add(
    url: Annotated[str, typer.Argument(help="Its address, such as http://localhost:11434.")],
    name: Annotated[
        str | None, typer.Option(help="What its models' ids begin with; by default from URL.")
    ] = None,
    key_env: Annotated[
        str | None,
        typer.Option(help="Environment variable of the server that holds the API key."),
    ] = None,
) -> None:
    """Put a server's models beside ours; a running Ponant shows them within a minute."""
    upstreams, scope = _open()
    added = upstreams.add(scope, url, name, key_env)
    typer.echo(f"Added {added.name} at {added.url}.")
    typer.echo(asyncio.run(_found(added)))


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the servers."""
    upstreams, scope = _open()
    print_rows(upstreams.list(scope), _COLUMNS, as_json=as_json)


@app.command("remove")
def remove(name: Annotated[str, typer.Argument(help="Its name, from the list.")]) -> None:
    """Forget a server."""
    upstreams, scope = _open()
    upstreams.remove(scope, name)
    typer.echo(f"Removed {name}.")


def _open() -> tuple[Upstreams, Scope]:
    settings = Settings.load()
    _, administrator = as_administrator(settings)
    return Upstreams(open_database(settings), SystemClock(), settings), administrator.scope


async def _found(upstream: Upstream) -> str:
    """What the server lists now; it may also be started later."""
    async with httpx.AsyncClient() as client:
        try:
            models = await list_models(upstream, client)
        except PonantError as e:
            return f"It does not answer yet: {e.message}"
    ids = ", ".join(card.id for card in models) or "none"
    leaves = any(card.place == "elsewhere" for card in models)
    warning = " What you ask them leaves this machine." if leaves else ""
    return f"Its models: {ids}.{warning}"
