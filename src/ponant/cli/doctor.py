"""``ponant doctor``: what this machine can do, what would run here, what is missing."""

from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from ponant.cli.diagnosis import Diagnosis, Lack, diagnose, try_backends
from ponant.cli.trial import ANSWER_TOKENS, PROMPT_TOKENS, Trial
from ponant.hub.files import megabytes
from ponant.kit import Settings


def doctor(
    bench: Annotated[
        bool, typer.Option("--bench", help="Time the starter on each installed backend.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what this machine can do and what is missing; ends with 1 where something needed is."""
    settings = Settings.load()
    console = Console(highlight=False, soft_wrap=True)
    found = diagnose(settings)
    if bench:
        with Console(stderr=True).status("Timing each backend, a minute or so …"):
            trials, faults = try_backends(settings)
        found = msgspec.structs.replace(found, trials=trials, faults=faults)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        _show(found, console)
    if not found.healthy:
        raise typer.Exit(1)


def _show(found: Diagnosis, console: Console) -> None:
    console.print(_facts(found))
    if found.trials:
        console.print(_timings(found.trials))
        console.print(f"Fastest here: {found.trials[0].backend}.")
    for fault in found.faults:
        console.print(f"Not timed to the end: {fault}", markup=False)
    if found.missing:
        console.print(_missing(found.missing))
    else:
        console.print("Nothing is missing.")


def _facts(found: Diagnosis) -> Table:
    machine = found.machine
    table = Table(show_header=False, box=None)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    memory = f"{megabytes(machine.memory)}, {megabytes(machine.memory_free)} of it free"
    table.add_row("system", f"{machine.system} on {machine.architecture}")
    table.add_row("processor", f"{machine.processor}, {machine.cores} cores for Ponant")
    table.add_row("instructions", ", ".join(machine.instructions) or "none that matter here")
    table.add_row("memory", memory)
    table.add_row("GPU", ", ".join(machine.gpus) or "none; models run on the processor")
    table.add_row("data", f"{found.home}, {megabytes(found.disk_free)} free on its disk")
    table.add_row("Python", found.python)
    for project, version in found.packages.items():
        table.add_row(project, version or "not installed")
    table.add_row("models", ", ".join(found.models) or "none")
    table.add_row("page", "there" if found.page else "not built")
    table.add_row("backend", f"{found.backend or 'none'}: {found.reason}")
    return table


def _timings(trials: list[Trial]) -> Table:
    table = Table(
        title=f"The starter reads {PROMPT_TOKENS} tokens and writes {ANSWER_TOKENS}",
        title_justify="left",
    )
    table.add_column("backend")
    for heading in ("load, s", "reads, tokens/s", "writes, tokens/s", "in all, s"):
        table.add_column(heading, justify="right")
    for trial in trials:
        table.add_row(
            trial.backend,
            f"{trial.load_seconds:.1f}",
            f"{trial.prefill:.0f}",
            f"{trial.decode:.1f}",
            f"{trial.seconds:.2f}",
        )
    return table


def _missing(lacks: list[Lack]) -> Table:
    table = Table(title="Missing", title_justify="left")
    for heading in ("what", "for", "mend it with"):
        table.add_column(heading, overflow="fold")
    for lack in lacks:
        table.add_row(lack.what if lack.needed else f"{lack.what} (optional)", lack.why, lack.mend)
    return table
