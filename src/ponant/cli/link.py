"""``ponant link``: a fresh sign-in link."""

import typer

from ponant.cli.address import server_address
from ponant.cli.local import as_administrator
from ponant.kit import Settings


def link() -> None:
    """Print a link that signs the administrator in to the page, once, within 15 minutes."""
    settings = Settings.load()
    accounts, administrator = as_administrator(settings)
    running = server_address(settings.home)
    base = running.url if running and not settings.public_url else settings.base_url
    typer.echo(f"{base}/sign-in#token={accounts.create_link(administrator)}")
    if running is None:
        typer.echo("No Ponant is running here yet: start it with `ponant serve`.", err=True)
