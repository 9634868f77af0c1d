"""``ponant setup``: brings the backends that suit this machine, and the models."""

from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from ponant.cli.home import require_home
from ponant.cli.packages import TORCH, install_package, installed_version, wanted_packages
from ponant.cli.progress import ProgressBars, byte_columns
from ponant.hub import InstalledModel, install_bundled
from ponant.kit import Settings
from ponant.kit.errors import SetupError
from ponant.kit.machine import Machine, this_machine


def setup(
    models_only: Annotated[
        bool, typer.Option("--models-only", help="Leave the Python packages as they are.")
    ] = False,
) -> None:
    """Fetch what running models needs; what is there already is left alone."""
    settings = Settings.load()
    require_home(settings)
    console = Console(highlight=False, soft_wrap=True)
    if not models_only:
        _bring_packages(settings, this_machine(), console)
    _bring_models(settings, console)


def _bring_packages(settings: Settings, machine: Machine, console: Console) -> None:
    for package in wanted_packages(settings):
        if installed_version(package.project) == package.version:
            continue
        about = f"Installing {package.pin}, {package.purpose} (about {package.size // 10**6} MB)"
        try:
            with console.status(f"{about} …"):
                install_package(package, settings, machine)
        except SetupError as e:
            if package is TORCH or installed_version(TORCH.project) is None:
                raise
            console.print(f"Going on with torch alone. {e.message}")
        else:
            console.print(f"Installed {package.pin}, {package.purpose}.")


def _bring_models(settings: Settings, console: Console) -> None:
    with Progress(*byte_columns(), console=console, transient=True) as progress:
        bars = ProgressBars(progress)
        models = install_bundled(settings.home, bars.report)
    if bars.used:
        for model in models:
            _introduce(model, console)


def _introduce(model: InstalledModel, console: Console) -> None:
    console.print(f"[bold]{model.id}[/bold]: {model.name}. {model.description}")
    console.print(f"  from {model.origin}")
    console.print(f"  licence: {model.licence}. {model.restrictions}")
