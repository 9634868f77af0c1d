"""Writes the reference pages from the code: settings, commands and routes.

`python docs/reference/generate.py` writes them; a test fails where they differ from the code.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic_core import PydanticUndefined

from ponant.api.app import create_app
from ponant.cli.main import app as commands
from ponant.cli.platform import describe_platform
from ponant.kit import Settings

_HERE = Path(__file__).parent
_NOTE = "<!-- Written by docs/reference/generate.py. -->\n"
_AUTHENTICATION = (
    "Each request carries `Authorization: Bearer <key>` or the page's session cookie, but for "
    "`/health` and the sign-in. The whole description, with every field, is at "
    "`/v1/openapi.json` and comes from `ponant openapi`.\n"
)
_MCP = (
    "## POST /mcp\n\nThe Model Context Protocol over HTTP: tools to search and fetch documents, to "
    "list libraries, to ask live tables in SQL and to keep watches; documents are resources.\n"
)


def settings_page() -> str:
    """Every setting with its default and what it does."""
    rows = [
        f"| `PONANT_{name.upper()}` | {_default(name, field)} | {field.description} |"
        for name, field in sorted(Settings.model_fields.items())
    ]
    head = "# Settings\n\nRead from the environment; an unknown `PONANT_*` name is refused.\n"
    return "\n".join([_NOTE + head, "| setting | default | meaning |", "|---|---|---|", *rows, ""])


_DERIVED = {"home": "the platform's data folder", "threads": "all cores"}


def _default(name: str, field: Any) -> str:
    if name in _DERIVED:
        return _DERIVED[name]
    if field.default in (None, PydanticUndefined):
        return "not set"
    return f"`{field.default}`"


def commands_page() -> str:
    """Every command with its arguments and options."""
    root = typer.main.get_command(commands)
    parts = [_NOTE + "# Commands\n"]
    for path, command in _walk(root, "ponant"):
        parts.append(f"## `{path}`\n\n{(command.help or '').strip()}\n")
        rows = [_parameter(p) for p in command.params if p.name not in {"help", "version"}]
        if rows:
            parts += ["| parameter | meaning |", "|---|---|", *rows, ""]
    return "\n".join(parts)


def _walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "list_commands"):
        yield path, command
        return
    context = typer.Context(command)
    for name in sorted(command.list_commands(context)):
        yield from _walk(command.get_command(context, name), f"{path} {name}")


def _parameter(parameter: Any) -> str:
    names = ", ".join(f"`{name}`" for name in parameter.opts)
    shown = names if parameter.param_type_name == "option" else f"`{parameter.name.upper()}`"
    return f"| {shown} | {getattr(parameter, 'help', None) or ''} |"


def http_page() -> str:
    """Every route with what it does."""
    parts = [
        _NOTE + "# HTTP\n",
        _AUTHENTICATION,
    ]
    for method, path, description in routes():
        parts.append(f"## {method} {path}\n\n{description}\n")
    parts.append(_MCP)
    return "\n".join(parts)


def routes() -> list[tuple[str, str, str]]:
    """Method, path and description of every route."""
    paths = create_app(describe_platform()).openapi()["paths"]
    found = [
        (method.upper(), path, operation.get("description", "").strip())
        for path, operations in paths.items()
        for method, operation in operations.items()
    ]
    return sorted(found, key=lambda route: (route[1], route[0]))


PAGES = {"settings.md": settings_page, "commands.md": commands_page, "http.md": http_page}

if __name__ == "__main__":
    for file, page in PAGES.items():
        (_HERE / file).write_text(page(), encoding="utf-8")
