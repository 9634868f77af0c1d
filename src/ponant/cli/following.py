"""How far the sources of libraries are, drawn anew while they work."""

import asyncio
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ponant.live import LiveClient
from ponant.live.port import Library, Source
from ponant.store import Scope

_SECONDS = 0.5  # between two drawings

Row = tuple[Library, Source]


async def rows(live: LiveClient, scope: Scope, name: str | None = None) -> list[Row]:
    """Every source of the libraries of that name, or of all."""
    found: list[Row] = []
    for library in await live.list_libraries(scope):
        if name in (None, library.name, library.id):
            found += [(library, one) for one in await live.list_sources(scope, library.id)]
    return found


async def watch(
    live: LiveClient,
    scope: Scope,
    console: Console,
    *,
    name: str | None = None,
    until: Callable[[Sequence[Row]], bool] = lambda _: False,
) -> None:
    """Draw how far sources are until they are as wanted."""
    with Live(console=console, refresh_per_second=4) as drawn:
        while True:
            now = await rows(live, scope, name)
            drawn.update(table(now))
            if until(now):
                return
            await asyncio.sleep(_SECONDS)


def is_done(now: Sequence[Row]) -> bool:
    """Whether no source has work left that goes on by itself."""
    return bool(now) and all(source.state != "syncing" for _, source in now)


def table(now: Sequence[Row]) -> Table:
    """A row for each source, with its counts and what is wrong."""
    columns = ("Library", "Source", "State", "Seen", "Parsed", "Embedded", "Failed", "Left", "")
    drawn = Table(*columns)
    for library, one in now:
        drawn.add_row(
            library.name,
            f"{one.kind} {_place(one)}".strip(),
            one.state.replace("_", " "),
            str(one.seen),
            str(one.parsed),
            str(one.embedded),
            str(one.failed),
            _left(one),
            one.message,
        )
    return drawn


def _place(source: Source) -> str:
    for name in ("path", "url", "repository", "bucket", "host", "topic"):
        if isinstance(value := source.config.get(name), str):
            return value
    return ""


def _left(source: Source) -> str:
    if not source.pending:
        return "" if source.interval is None else f"looks every {source.interval:.0f} s"
    if not source.rate or source.seconds_left is None:
        return str(source.pending)
    return f"{source.pending} at {source.rate:.0f}/s, {source.seconds_left:.0f} s"
