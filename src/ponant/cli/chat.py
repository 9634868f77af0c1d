"""``ponant chat``: talk to a model in the terminal."""

import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console

from ponant.cli.client import checked, signed_in
from ponant.kit import PonantError, Settings
from ponant.kit.errors import NotFound

_console = Console(highlight=False)


def chat(
    message: Annotated[str | None, typer.Argument(help="One question; else a dialogue.")] = None,
    model: Annotated[str, typer.Option(help="Model to ask.")] = "starter",
    library: Annotated[
        list[str] | None, typer.Option(help="Library to answer from; may be repeated.")
    ] = None,
) -> None:
    """Chat in the terminal; answers from libraries name their sources."""
    with signed_in(Settings.load()) as client:
        talk = _Talk(client, model, _library_ids(client, library or []))
        if message is not None:
            talk.ask(message)
            return
        for question in _questions():
            try:
                talk.ask(question)
            except PonantError as e:
                _console.print(e.message, style="red")


def _questions() -> Iterator[str]:
    """Lines that somebody types, until the end of input or Ctrl-C."""
    interactive = sys.stdin.isatty()
    while True:
        try:
            line = _console.input("[bold]> [/bold]" if interactive else "").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if line:
            yield line


def _library_ids(client: httpx.Client, names: list[str]) -> list[str]:
    if not names:
        return []
    known = {
        entry["name"]: entry["id"] for entry in checked(client.get("/v1/libraries")).json()["data"]
    }
    for name in names:
        if name not in known and name not in known.values():
            there = ", ".join(sorted(known)) or "none"
            raise NotFound(f"There is no library {name}. There are: {there}.")
    return [known.get(name, name) for name in names]


class _Talk:
    """A conversation that the server keeps, shown as it is written."""

    def __init__(self, client: httpx.Client, model: str, libraries: list[str]) -> None:
        self._client = client
        self._id: str | None = None
        tools = [{"type": "document_library", "library_ids": libraries}] if libraries else []
        self._first = {"model": model, "tools": tools}

    def ask(self, question: str) -> None:
        body: dict[str, Any] = {"inputs": question, "stream": True}
        path = "/v1/conversations"
        if self._id is None:
            body |= self._first
        else:
            path += f"/{self._id}"
        sources: list[dict[str, Any]] = []
        with self._client.stream("POST", path, json=body) as response:
            checked(response)
            for event in _events(response):
                sources = self._show(event) or sources
        _console.print()
        for source in sources:
            _console.print(
                f"[{source['number']}] {source['document_name']}", style="dim", markup=False
            )

    def _show(self, event: dict[str, Any]) -> list[dict[str, Any]] | None:
        match event:
            case {"type": "conversation.response.started", "conversation_id": str(started)}:
                self._id = started
            case {"type": "message.output.delta", "content": str(text)}:
                _console.print(text, end="", markup=False)
            case {"type": "message.output.delta", "content": {"number": number}}:
                _console.print(f" [{number}]", end="", style="cyan", markup=False)
            case {"type": "conversation.response.done", "ponant": {"sources": list(sources)}}:
                return sources
            case {"type": "conversation.response.error", "message": str(message)}:
                raise PonantError(message)
        return None


def _events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))
