"""``ponant live``: libraries that follow folders, for the system user who owns the server."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from ponant.cli import following, pipelines
from ponant.cli.home import open_accounts
from ponant.kit import Settings, SystemClock
from ponant.kit.errors import BadRequest, Conflict, Forbidden, NotFound, SetupError
from ponant.kit.network import Network
from ponant.kit.sealing import Seal
from ponant.live import LiveClient, storage
from ponant.live.address import is_running
from ponant.live.declarations import Declarations
from ponant.live.indexing.index import Index
from ponant.live.port import Document, Library
from ponant.live.queries import Queries
from ponant.live.sources.followers import check
from ponant.live.sources.kinds import Context
from ponant.live.sources.vault import Vault
from ponant.store import Database, Scope

app = typer.Typer(help="Libraries that follow folders, and pipelines.", no_args_is_help=True)
pipelines.add_to(app)

_console = Console(highlight=False, soft_wrap=True)
_R = TypeVar("_R")

Name = Annotated[str, typer.Argument(help="Name of the library.")]


@app.command()
def add(
    name: Name,
    folder: Annotated[Path | None, typer.Argument(help="Folder to follow; any will do.")] = None,
    kind: Annotated[
        str, typer.Option(help="Kind of source, such as webdav; see docs/guide/sources.md.")
    ] = "folder",
    setting: Annotated[
        list[str], typer.Option("--set", help="A setting of the kind, as name=value.")
    ] = [],  # noqa: B006 - typer reads it and never writes
    secret: Annotated[
        list[str], typer.Option(help="Name of a secret of the kind, which is asked for.")
    ] = [],  # noqa: B006 - typer reads it and never writes
    watch: Annotated[
        bool | None, typer.Option(help="Show how far it is until all is read.")
    ] = None,
) -> None:
    """Let a library follow a folder or another place; it is made where there is none."""
    settings = Settings.load()
    config: dict[str, Any] = dict(_setting(one) for one in setting)
    if folder is not None:
        config["path"] = str(folder.expanduser().absolute())
    secrets = {one: typer.prompt(one, hide_input=True) for one in secret}
    wanted = _Wanted(kind, config, secrets)
    if not is_running(settings.home):
        _declare(settings, name, wanted)
        _console.print("No server runs, so it is read at the next start: ponant serve")
    else:
        _asking(settings, lambda live, scope: _add(live, scope, name, wanted))
        _console.print("The server reads it now; see: ponant live status")
    if kind == "folder":
        _console.print(f"{config['path']} is now among the folders that sources may lie in.")
    if is_running(settings.home) and (_console.is_terminal if watch is None else watch):
        _asking(
            settings,
            lambda live, scope: following.watch(
                live, scope, _console, name=name, until=following.is_done
            ),
        )


@app.command("sign-in")
def sign_in(
    name: Name,
    secret: Annotated[list[str], typer.Option(help="Name of a secret, which is asked for.")],
    setting: Annotated[
        list[str], typer.Option("--set", help="A setting that says who signs in, as name=value.")
    ] = [],  # noqa: B006 - typer reads it and never writes
    source: Annotated[
        str | None, typer.Option(help="Id of the source, where the library has several.")
    ] = None,
) -> None:
    """Give a library's source another password or key; what it brought stays."""
    settings = Settings.load()
    _require_server(settings)
    config = dict(_setting(one) for one in setting)
    secrets = {one: typer.prompt(one, hide_input=True) for one in secret}

    async def ask(live: LiveClient, scope: Scope) -> None:
        library = _named(await live.list_libraries(scope), name)
        known = await live.list_sources(scope, library.id)
        chosen = [one for one in known if source in (None, one.id)]
        if len(chosen) != 1:
            there = ", ".join(f"{one.id} ({one.kind})" for one in known) or "none"
            raise NotFound(f"Name the source with --source. There are: {there}.")
        await live.sources.sign_in(scope, library.id, chosen[0].id, secrets, config)

    _asking(settings, ask)
    _console.print("The source goes on with it; see: ponant live status")


@app.command()
def failed(name: Name) -> None:
    """Show the documents of a library that could not be read, and why."""
    settings = Settings.load()
    _require_server(settings)

    async def ask(live: LiveClient, scope: Scope) -> list[Document]:
        library = _named(await live.list_libraries(scope), name)
        return await live.list_documents(scope, library.id)

    table = Table("Document", "Reason")
    for one in _asking(settings, ask):
        if one.state == "failed":
            table.add_row(one.path, one.message)
    _console.print(table if table.row_count else "Everything was read.")


@app.command()
def retry(name: Name) -> None:
    """Read the documents of a library again that could not be read."""
    settings = Settings.load()
    _require_server(settings)

    async def ask(live: LiveClient, scope: Scope) -> int:
        library = _named(await live.list_libraries(scope), name)
        return await live.sources.retry(scope, library.id)

    _console.print(f"{_asking(settings, ask)} documents are read again; see: ponant live status")


@app.command("list")
def list_libraries() -> None:
    """Show the libraries and how they stand to their sources."""
    settings = Settings.load()
    if not is_running(settings.home):
        for row, count, _ in _queries(settings).libraries(_scope(settings)):
            _console.print(f"{row.name}: {count} documents when the server last ran")
        return
    table = Table("Library", "Documents", "State", "Checked", "Message")
    for one in _asking(settings, lambda live, scope: live.list_libraries(scope)):
        fresh = one.freshness
        checked = f"{fresh.as_of:%Y-%m-%d %H:%M:%S} UTC"
        state = fresh.state.replace("_", " ")
        table.add_row(one.name, str(one.documents), state, checked, fresh.message)
    _console.print(table)


@app.command()
def status(
    watch: Annotated[bool, typer.Option(help="Go on showing it, until Ctrl-C.")] = False,
) -> None:
    """Show what live knowledge is doing."""
    settings = Settings.load()
    _require_server(settings)
    found = _asking(settings, lambda live, scope: live.status(scope))
    _console.print(
        f"{found.libraries} libraries, {found.documents} documents, {found.passages} passages, "
        f"{found.watching} sources followed"
    )
    _console.print(
        f"search by meaning with {found.embedder}"
        if found.embedder
        else "search by keywords alone: no embedding model is ready (ponant setup)"
    )
    list_libraries()
    _console.print(following.table(_asking(settings, following.rows)))
    if watch:
        with contextlib.suppress(KeyboardInterrupt):
            _asking(settings, lambda live, scope: following.watch(live, scope, _console))


@app.command()
def search(
    name: Name,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    limit: Annotated[int, typer.Option(help="Most passages to show.")] = 5,
) -> None:
    """Search a library."""
    settings = Settings.load()
    _require_server(settings)

    async def ask(live: LiveClient, scope: Scope) -> None:
        library = _named(await live.list_libraries(scope), name)
        found = await live.search(scope, [library.id], query, limit)
        if not found.hits:
            _console.print("Nothing was found.")
        for hit in found.hits:
            _console.print(f"[bold]{hit.document_name}[/bold] {hit.heading}")
            _console.print(hit.text, markup=False)
            _console.print()

    _asking(settings, ask)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A source as the command line names it."""

    kind: str
    config: dict[str, Any]
    secrets: dict[str, str]


def _setting(text: str) -> tuple[str, Any]:
    """A setting's name and value: a number, true or false where it looks like one, else text."""
    name, mark, value = text.partition("=")
    if not name or not mark:
        raise BadRequest(f"The setting {text!r} needs the form name=value.")
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value


async def _add(live: LiveClient, scope: Scope, name: str, wanted: _Wanted) -> None:
    libraries = await live.list_libraries(scope)
    known = [one for one in libraries if one.name == name]
    library = _named(known, name) if known else await live.create_library(scope, name)
    try:
        await live.add_source(
            scope, library.id, wanted.kind, wanted.config, secrets=wanted.secrets, trusted=True
        )
    except (BadRequest, Conflict, Forbidden):
        if not known:  # nothing is left behind by a place that is not there
            await live.delete_library(scope, library.id)
        raise


def _declare(settings: Settings, name: str, wanted: _Wanted) -> None:
    """Write a source for the next start to follow."""
    queries, scope = _queries(settings), _scope(settings)
    context = Context(
        home=settings.home,
        roots=queries.roots(),
        network=Network(everything=True),
        trusted=True,
        aside=asyncio.to_thread,
    )
    declared = check(wanted.kind, wanted.config, wanted.secrets, context)
    declarations = Declarations(_database(settings), SystemClock())
    known = [row.id for row, _, _ in queries.libraries(scope) if row.name == name]
    if len(known) > 1:
        raise _several(name)
    library_id = known[0] if known else declarations.create_library(scope, name, "", None)
    vault = Vault(Seal(settings.home, settings.given_secrets_key))
    declarations.add_source(scope, library_id, vault.closed(library_id, declared), trusted=True)


def _asking(settings: Settings, ask: Callable[[LiveClient, Scope], Awaitable[_R]]) -> _R:
    """What the running server's live process answers."""

    async def run() -> _R:
        live = LiveClient(settings)
        await live.connect()
        try:
            return await ask(live, scope)
        finally:
            await live.close()

    scope = _scope(settings)
    return asyncio.run(run())


def _named(libraries: list[Library], name: str) -> Library:
    found = [one for one in libraries if name in (one.name, one.id)]
    if len(found) > 1:
        raise _several(name)
    if not found:
        there = ", ".join(one.name for one in libraries) or "none"
        raise NotFound(f"There is no library {name}. There are: {there}.")
    return found[0]


def _several(name: str) -> Conflict:
    return Conflict(f"Several libraries are called {name}. Rename one, or use the page.")


def _require_server(settings: Settings) -> None:
    if not is_running(settings.home):
        raise SetupError(f"No Ponant serves {settings.home}. Start one with: ponant serve")


def _scope(settings: Settings) -> Scope:
    accounts, _ = open_accounts(settings)
    return accounts.administrator().scope


def _queries(settings: Settings) -> Queries:
    index = Index(_database(settings), SystemClock())
    return Queries(settings.home, settings.source_roots, index)


def _database(settings: Settings) -> Database:
    database = storage.opened(settings.home, settings.live_database)
    database.migrate("live")
    return database
