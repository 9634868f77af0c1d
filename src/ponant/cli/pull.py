"""``ponant pull``: brings a model from a hub, or from this machine's disk."""

from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn, TransferSpeedColumn

from ponant.cli.home import require_home
from ponant.cli.progress import ProgressBars, byte_columns
from ponant.hub.pull import pull_model
from ponant.kit import Settings


def pull(
    source: Annotated[
        str, typer.Argument(help="owner/name on the hub (HF_ENDPOINT), or a file or folder.")
    ],
    file: Annotated[
        str | None, typer.Option(help="Which weights, or a part of their name such as Q8_0.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The id to serve the model under.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.")] = None,
) -> None:
    """Bring a model here, as GGUF, safetensors or in Mistral's layout, so that it can be served.

    A broken download goes on where it stopped. A file of this machine is shared where it lies on
    the same disk, and copied otherwise.
    """
    settings = Settings.load()
    require_home(settings)
    console = Console(highlight=False, soft_wrap=True)
    columns = (*byte_columns(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        model = pull_model(
            settings.home,
            source,
            file=file,
            name=name,
            revision=revision,
            report=ProgressBars(progress).report,
            say=console.print,
        )
    console.print(f"[bold]{model.id}[/bold] is here: {model.architecture}, run by", end=" ")
    console.print(" or ".join(model.backends))
    console.print(f"  licence: {model.licence}. {model.restrictions}")
