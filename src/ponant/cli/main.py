"""The command line: every command group in one place."""

import os
from typing import Annotated

import typer

from ponant import __version__
from ponant.cli import chat, doctor, keys, link, live, openapi, pull, serve, setup, upstream, usage
from ponant.cli.errors import sentences

app = typer.Typer(
    name="ponant",
    help="Run models, an API, an assistant and live knowledge on your own machines.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("serve")(serve.serve)
app.command("setup")(setup.setup)
app.command("chat")(chat.chat)
app.command("link")(link.link)
app.command("doctor")(doctor.doctor)
app.command("pull")(pull.pull)
app.command("usage")(usage.usage)
app.command("openapi")(openapi.openapi)
app.add_typer(keys.app, name="keys")
app.add_typer(live.app, name="live")
app.add_typer(upstream.app, name="upstream")


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
