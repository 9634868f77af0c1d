"""Tools beside search and fetch: libraries, live tables asked in SQL, and watches."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from mcp import types

from ponant.accounts import Principal, Role
from ponant.api.mcp_arguments import chosen_of, optional_text, text, whole
from ponant.api.platform import Platform
from ponant.api.tables import shown_tables
from ponant.assistant.watches import Answer, Setup, Watch, WatchEvent, withholding
from ponant.kit.errors import BadRequest, Forbidden

Call = Callable[[Platform, Principal, dict[str, Any]], Awaitable[dict[str, Any]]]

_MOST_EVENTS = 100
_MOST_ROWS = 1000


async def _list_libraries(
    services: Platform, caller: Principal, _: dict[str, Any]
) -> dict[str, Any]:
    found = await services.live.list_libraries(caller.scope)
    return {
        "libraries": [
            {
                "id": one.id,
                "name": one.name,
                "description": one.description,
                "documents": one.documents,
                "state": one.freshness.state,
                "version": one.freshness.version,
                "as_of": one.freshness.as_of,
            }
            for one in found
        ]
    }


async def _list_tables(services: Platform, caller: Principal, _: dict[str, Any]) -> dict[str, Any]:
    return {"tables": await shown_tables(services, caller)}


async def _query_table(
    services: Platform, caller: Principal, arguments: dict[str, Any]
) -> dict[str, Any]:
    parameters = arguments.get("parameters")
    if not isinstance(parameters, list | dict | None):
        raise BadRequest("The parameters must be a list or an object.")
    limit = whole(arguments, "limit", 100)
    if not 1 <= limit <= _MOST_ROWS:
        raise BadRequest(f"The limit must be from 1 to {_MOST_ROWS}.")
    sql = text(arguments, "sql")
    answer = await services.live.relations.query(caller.scope, sql, parameters, limit)
    body: dict[str, Any] = msgspec.to_builtins(answer)
    return body


async def _list_watches(services: Platform, caller: Principal, _: dict[str, Any]) -> dict[str, Any]:
    found = await services.watches.list(caller)
    shown = await withholding.shown(services.live, caller.scope, found)
    return {"watches": [_watch(one) for one in shown]}


async def _create_watch(
    services: Platform, caller: Principal, arguments: dict[str, Any]
) -> dict[str, Any]:
    if not caller.role.covers(Role.MEMBER):
        raise Forbidden("A viewer keeps no watches. Ask an administrator for another role.")
    kind = arguments.get("kind", "question")
    if kind not in ("question", "search"):
        raise BadRequest("The kind must be question or search.")
    libraries = await services.live.list_libraries(caller.scope)
    chosen = chosen_of(libraries, arguments.get("library"))
    if not chosen:
        raise BadRequest("There is no library to watch yet.")
    setup = Setup(
        kind="question" if kind == "question" else "search",
        query=text(arguments, "question"),
        name=optional_text(arguments, "name") or "",
        model=optional_text(arguments, "model") or "starter",
        library_ids=tuple(one.id for one in chosen),
    )
    watch, _ = await services.watches.create(caller, setup)
    return _watch(watch)


async def _watch_events(
    services: Platform, caller: Principal, arguments: dict[str, Any]
) -> dict[str, Any]:
    limit = min(max(whole(arguments, "limit", 20), 1), _MOST_EVENTS)
    # The events first: the watch then shows what the latest of them did.
    found = await services.watches.events(caller, text(arguments, "id"), limit=limit)
    watch = await services.watches.get(caller, text(arguments, "id"))
    live, scope = services.live, caller.scope
    (shown,) = await withholding.shown(live, scope, [watch])
    events = await withholding.shown(live, scope, found)
    return {"watch": _watch(shown), "events": [_event(one) for one in events]}


def _watch(one: Watch) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.setup.name,
        "question": one.setup.query,
        "kind": one.setup.kind,
        "state": one.state,
        "reason": one.reason,
        "answer": _answer(one.answer),
        "as_of": one.as_of,
        "changed_at": one.changed_at,
    }


def _event(one: WatchEvent) -> dict[str, Any]:
    return {
        "id": one.id,
        "happening": one.happening,
        "at": one.at,
        "old": _answer(one.old),
        "new": _answer(one.new),
        "reason": one.reason,
        "as_of": one.as_of,
    }


def _answer(one: Answer | None) -> dict[str, Any] | None:
    """An answer's text and where it comes from; a kept search has passages in its place."""
    if one is None:
        return None
    return {
        "text": one.text,
        "sources": [
            {"id": source.passage_id, "title": source.document_name}
            for source in (*one.cited, *one.passages)
        ],
        "rows": list(one.rows),
    }


def _tool(
    tool: str,
    description: str,
    required: tuple[str, ...] = (),
    *,
    reads: bool = True,
    **fields: dict[str, Any],
) -> types.Tool:
    return types.Tool(
        name=tool,
        description=description,
        input_schema={"type": "object", "properties": fields, "required": list(required)},
        annotations=types.ToolAnnotations(read_only_hint=reads, open_world_hint=False),
    )


def _string(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _limit(most: int, default: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}


CALLS: dict[str, Call] = {
    "list_libraries": _list_libraries,
    "list_tables": _list_tables,
    "query_table": _query_table,
    "list_watches": _list_watches,
    "create_watch": _create_watch,
    "watch_events": _watch_events,
}
TOOLS = (
    _tool("list_libraries", "The libraries of documents, and how they stand to their sources."),
    _tool("list_tables", "The live tables that query_table may ask, with their columns."),
    _tool(
        "query_table",
        "Ask live tables in SQL (DuckDB): one SELECT, answered from one version of all tables.",
        ("sql",),
        sql=_string("One SELECT."),
        parameters={"description": "A list for ? and $1, or an object for $name."},
        limit=_limit(_MOST_ROWS, 100),
    ),
    _tool("list_watches", "The questions that are kept answered, with their answers now."),
    _tool(
        "create_watch",
        "Keep a question, or a search, answered: answered again whenever its evidence changes.",
        ("question",),
        reads=False,
        question=_string("What to keep asking."),
        library=_string("Name or id; all libraries if left out."),
        kind={"type": "string", "enum": ["question", "search"], "default": "question"},
        name=_string("What to call it."),
        model=_string("Which model answers."),
    ),
    _tool(
        "watch_events",
        "What happened to a watch, the latest first: old answer, new answer and why.",
        ("id",),
        id=_string("The watch."),
        limit=_limit(_MOST_EVENTS, 20),
    ),
)
