"""The command line: every command by its name; its module is imported when it is used."""

import os
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ponant import __version__
from ponant.cli.errors import sentences

# The command or the group of commands in the module of each name.
_COMMANDS = {
    "budget": "app",
    "chat": "chat",
    "doctor": "doctor",
    "groups": "app",
    "keys": "app",
    "link": "link",
    "live": "app",
    "openapi": "openapi",
    "people": "app",
    "pull": "pull",
    "serve": "serve",
    "setup": "setup",
    "upstream": "app",
    "usage": "usage",
    "watch": "app",
    "workspaces": "app",
}


class _Commands(TyperGroup):
    """Imports a command's module at its first use: `ponant link` need not load the server."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        found = getattr(import_module(f"ponant.cli.{cmd_name}"), _COMMANDS[cmd_name])
        if not isinstance(found, typer.Typer):
            single = typer.Typer(add_completion=False)
            single.command(cmd_name)(found)
            found = single
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=_Commands,
    name="ponant",
    help="Run models, an API, an assistant and live knowledge on your own machines.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"ponant {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Run models, an API, an assistant and live knowledge on your own machines."""


def run() -> None:
    """The ``ponant`` command."""
    with sentences(lambda: os.environ.get("PONANT_LOG_LEVEL") == "debug"):
        app()
