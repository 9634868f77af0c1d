"""``ponant live run`` and its like: pipelines that a Python file declares."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from ponant.cli.home import open_accounts
from ponant.kit import Settings
from ponant.kit.errors import SetupError
from ponant.live.address import is_running
from ponant.live.pipelines import testing
from ponant.live.pipelines.loading import load
from ponant.live.pipelines.memory import SourceNow
from ponant.live.pipelines.process import RunSpec, run
from ponant.live.pipelines.watching import PipelineProcess, pipeline_now, replay
from ponant.store import Scope

_console = Console(highlight=False, soft_wrap=True)

File = Annotated[Path, typer.Argument(help="The pipeline's Python file.")]


def run_pipeline(
    file: File,
    once: Annotated[
        bool, typer.Option("--once", help="End when every source was seen once.")
    ] = False,
    reload: Annotated[bool, typer.Option(help="Run it anew when its file changes.")] = True,
) -> None:
    """Run a pipeline beside the server until interrupted; what did not change is not computed."""
    settings = Settings.load()
    file = file.expanduser().resolve()
    load(file)  # says at once what cannot work
    if not is_running(settings.home):
        raise SetupError(f"No Ponant serves {settings.home}. Start one with: ponant serve")
    states: dict[str, SourceNow] = {}
    scope = _scope(settings)
    if once:
        spec = RunSpec(file=str(file), home=str(settings.home), scope=scope, once=True)
        asyncio.run(run(spec, lambda now: states.update({now.source: now})))
        _console.print(_shown(states))
        return
    notes: list[str] = []
    with Live(_shown(states), console=_console, refresh_per_second=4) as screen:

        def told(now: SourceNow) -> None:
            states[now.source] = now
            screen.update(Group(_shown(states), *notes[-3:]))

        def said(message: str) -> None:
            notes.append(message)
            screen.update(Group(_shown(states), *notes[-3:]))

        process = PipelineProcess(file, settings.home, scope, told, said)
        try:
            asyncio.run(process.run(reload=reload))
        except KeyboardInterrupt:
            return


def compare_cases(
    file: File,
    folder: Annotated[
        Path | None, typer.Option("--cases", help="Folder of cases; <file>.cases by default.")
    ] = None,
) -> None:
    """Run a pipeline on recorded input, beside no server, and show what differs."""
    file = file.expanduser().resolve()
    wrong = 0
    for case in testing.cases(folder or testing.cases_folder(file)):
        difference = asyncio.run(testing.compare(file, case))
        wrong += bool(difference)
        _console.print(f"{case.name}: {'differs' if difference else 'as expected'}")
        if difference:
            _console.print(difference, markup=False)
    if wrong:
        raise typer.Exit(1)


def record_case(
    file: File, name: Annotated[str, typer.Argument(help="What to call the case.")]
) -> None:
    """Write down what a pipeline's sources see now, and what it makes of that, as a case."""
    settings = Settings.load()
    file = file.expanduser().resolve()
    case = testing.cases_folder(file) / name
    taken, made = asyncio.run(testing.record(file, case, settings.home))
    _console.print(f"{case}: {taken} lines of input, {made} of output. Look through the output.")


def show_pipelines() -> None:
    """Show the pipelines that ran here, and what waits to be replayed."""
    settings = Settings.load()
    for path in sorted((settings.home / "pipelines").glob("*.db")):
        now = pipeline_now(settings.home, path.with_suffix(".py"), "", "")
        _console.print(f"[bold]{now.name}[/bold]")
        _console.print(_shown({one.source: one for one in now.sources}))
        for failure in now.failures:
            _console.print(
                f"  {failure.source} {failure.key}: {failure.step}: {failure.reason}", markup=False
            )
        if now.mend:
            _console.print(f"  {now.mend}", markup=False)


def replay_failed(name: Annotated[str, typer.Argument(help="The pipeline.")]) -> None:
    """Bring what failed through a pipeline again, now or when it next runs."""
    count = replay(Settings.load().home, Path(name).stem)
    _console.print(f"{count} items are brought through again.")


def add_to(app: typer.Typer) -> None:
    """Make these commands of a group."""
    app.command("run")(run_pipeline)
    app.command("test")(compare_cases)
    app.command("record")(record_case)
    app.command("pipelines")(show_pipelines)
    app.command("replay")(replay_failed)


def _shown(states: dict[str, SourceNow]) -> Table:
    table = Table("Source", "State", "Seen", "Computed", "Known", "Failed", "Message")
    for one in states.values():
        numbers = (one.seen, one.computed, one.kept, one.failed)
        state = one.state.replace("_", " ")
        table.add_row(one.source, state, *(str(number) for number in numbers), one.message)
    return table


def _scope(settings: Settings) -> Scope:
    accounts, _ = open_accounts(settings)
    return accounts.administrator().scope
