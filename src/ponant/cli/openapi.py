"""``ponant openapi``: the description of the HTTP API, for clients that are generated."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ponant.api.app import create_app
from ponant.cli.platform import describe_platform


def openapi(
    out: Annotated[Path | None, typer.Option(help="File to write; else it is printed.")] = None,
) -> None:
    """Print the OpenAPI description of every route."""
    text = json.dumps(create_app(describe_platform()).openapi(), indent=2, sort_keys=True)
    if out is None:
        typer.echo(text)
        return
    out.write_text(text + "\n", encoding="utf-8")
