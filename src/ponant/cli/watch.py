"""``ponant watch``: questions kept answered, for the system user who owns the server."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from ponant.cli.client import checked, signed_in
from ponant.kit import Settings
from ponant.kit.errors import NotFound

app = typer.Typer(help="Keep questions answered.", no_args_is_help=True)

_console = Console(highlight=False, soft_wrap=True)

WatchId = Annotated[str, typer.Argument(help="The watch, such as wat_01jd….")]


@app.command()
def add(
    query: Annotated[str, typer.Argument(help="What to keep asking.")],
    library: Annotated[
        list[str] | None, typer.Option(help="Library to look into; may be repeated.")
    ] = None,
    kind: Annotated[str, typer.Option(help="question, search or sql.")] = "question",
    model: Annotated[str, typer.Option(help="Model that answers.")] = "starter",
    webhook: Annotated[str | None, typer.Option(help="Address to tell of changes.")] = None,
) -> None:
    """Watch a question, a search or a statement over live tables."""
    with signed_in(Settings.load()) as client:
        body = {
            "kind": kind,
            "query": query,
            "library_ids": _libraries(client, library or []),
            "model": model,
            "webhook": webhook,
        }
        made = checked(client.post("/v1/watches", json=body)).json()
    _console.print(f"{made['id']} is watched; see: ponant watch events")
    if "secret" in made:
        _console.print(f"Deliveries are signed with {made['secret']}, shown this once.")


@app.command("list")
def list_() -> None:
    """List your watches with what they say now."""
    with signed_in(Settings.load()) as client:
        found = checked(client.get("/v1/watches")).json()["data"]
    table = Table("Watch", "Asks", "State", "Says")
    for one in found:
        state = one["state"].replace("_", " ")
        says = one["answer"]["text"] if one["answer"] else ""
        table.add_row(one["id"], one["query"], state, one["reason"] or says)
    _console.print(table)


@app.command()
def events(
    after: Annotated[int | None, typer.Option(help="Number of the last event seen.")] = None,
) -> None:
    """Show what happens to your watches as it happens, until interrupted."""
    with signed_in(Settings.load()) as client:
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        with client.stream("GET", "/v1/watches/events", headers=headers) as response:
            checked(response)
            for event in _told(response):
                _print(event)


@app.command()
def pause(watch: WatchId) -> None:
    """Let a watch rest until it is resumed."""
    with signed_in(Settings.load()) as client:
        checked(client.post(f"/v1/watches/{watch}/pause"))
    _console.print(f"{watch} rests.")


@app.command()
def resume(watch: WatchId) -> None:
    """Go on with a watch."""
    with signed_in(Settings.load()) as client:
        checked(client.post(f"/v1/watches/{watch}/resume"))
    _console.print(f"{watch} goes on.")


@app.command()
def remove(watch: WatchId) -> None:
    """Remove a watch with all that happened to it."""
    with signed_in(Settings.load()) as client:
        checked(client.delete(f"/v1/watches/{watch}"))
    _console.print(f"{watch} is removed.")


def _libraries(client: httpx.Client, names: list[str]) -> list[str]:
    known = checked(client.get("/v1/libraries")).json()["data"] if names else []
    ids = {one["name"]: one["id"] for one in known} | {one["id"]: one["id"] for one in known}
    for name in names:
        if name not in ids:
            there = ", ".join(one["name"] for one in known) or "none"
            raise NotFound(f"There is no library {name}. There are: {there}.")
    return [ids[name] for name in names]


def _told(response: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def _print(event: dict[str, Any]) -> None:
    what = event["happening"].replace("stands", "evidence moved, answer stands")
    _console.print(f"[bold]{event['number']} {event['watch_id']}[/bold] {what}")
    if event["reason"]:
        _console.print(f"  {event['reason']}", markup=False)
    for name in ("old", "new"):
        if event[name] and event["happening"] in {"answered", "changed"}:
            _console.print(f"  {name}: {_said(event[name])}", markup=False)
    for one in event["moved"]:
        _console.print(f"  {one['what']}: {one['document_name']} {one['heading']}", markup=False)


def _said(answer: dict[str, Any]) -> str:
    if answer["text"]:
        return str(answer["text"])
    return f"{len(answer['passages'])} passages" if answer["passages"] else f"{answer['rows']}"
