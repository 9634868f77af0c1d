"""The tools that clients of the Model Context Protocol find at ``/mcp``: search and fetch.

Search results and fetched documents have the shape that hosted assistants expect of the two tools
(``results`` with ``id, title, url``; ``id, title, text, url, metadata``).
"""

from typing import Any

import msgspec
from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import Request

from ponant import __version__
from ponant.accounts import Principal
from ponant.api.platform import Platform, platform
from ponant.kit import PonantError
from ponant.kit.errors import BadRequest, NotFound
from ponant.live.port import Hit, Library

_LONGEST_TEXT = 200_000  # characters of a fetched document
_INSTRUCTIONS = (
    "Search the organisation's own documents, then fetch what a result points to. Results follow "
    "the documents as they change."
)


def session_manager() -> StreamableHTTPSessionManager:
    """What answers requests, once it runs."""
    return StreamableHTTPSessionManager(_server(), json_response=True, stateless=True)


def _server() -> Server[dict[str, Any]]:
    return Server(
        "ponant",
        version=__version__,
        instructions=_INSTRUCTIONS,
        on_list_tools=_list_tools,
        on_call_tool=_call_tool,
    )


async def _list_tools(
    _context: ServerRequestContext[dict[str, Any]], _params: types.PaginatedRequestParams | None
) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[_SEARCH, _FETCH])


async def _call_tool(
    context: ServerRequestContext[dict[str, Any]], params: types.CallToolRequestParams
) -> types.CallToolResult:
    request = context.request
    if not isinstance(request, Request):
        raise TypeError("tools are called over HTTP")
    services, caller = platform(request), request.state.principal
    try:
        body = await _TOOLS[params.name](services, caller, params.arguments or {})
    except KeyError:
        return _result(f"There is no tool {params.name}. There are: search, fetch.")
    except PonantError as e:
        return _result(e.message)
    return _result(body)


def _result(body: dict[str, Any] | str) -> types.CallToolResult:
    """A tool's answer; a string is a sentence that says what went wrong."""
    if isinstance(body, str):
        return types.CallToolResult(content=[types.TextContent(text=body)], is_error=True)
    text = msgspec.json.encode(body).decode()
    return types.CallToolResult(
        content=[types.TextContent(text=text)], structured_content=msgspec.json.decode(text)
    )


async def _search(
    services: Platform, caller: Principal, arguments: dict[str, Any]
) -> dict[str, Any]:
    query = _text(arguments, "query")
    limit = arguments.get("limit", 10)
    if not isinstance(limit, int):
        raise BadRequest("The limit must be a whole number.")
    libraries = await services.live.list_libraries(caller.scope)
    chosen = _chosen(libraries, arguments.get("library"))
    found = await services.live.search(caller.scope, [one.id for one in chosen], query, limit)
    names = {one.id: one.name for one in chosen}
    base = services.settings.base_url
    return {"results": [_hit(hit, names[hit.library_id], base) for hit in found.hits]}


async def _fetch(
    services: Platform, caller: Principal, arguments: dict[str, Any]
) -> dict[str, Any]:
    wanted = _text(arguments, "id")
    if wanted.startswith("doc_"):
        return await _document(services, caller, wanted)
    view = await services.live.get_passage(caller.scope, wanted)
    hit = view.passage
    return {
        "id": wanted,
        "title": hit.document_name,
        "text": view.text[:_LONGEST_TEXT],
        "url": _url(hit, services.settings.base_url),
        "metadata": {
            "passage": hit.text,
            "heading": hit.heading,
            "document_id": hit.document_id,
            "document_version": hit.document_version,
            "library_id": hit.library_id,
            "cut": len(view.text) > _LONGEST_TEXT,
        },
    }


async def _document(services: Platform, caller: Principal, document_id: str) -> dict[str, Any]:
    for library in await services.live.list_libraries(caller.scope):
        try:
            found = await services.live.get_document(caller.scope, library.id, document_id)
        except NotFound:
            continue
        text = await services.live.document_text(caller.scope, library.id, document_id)
        return {
            "id": document_id,
            "title": found.name,
            "text": text[:_LONGEST_TEXT],
            "url": f"{services.settings.base_url}/libraries/{library.id}",
            "metadata": {
                "document_version": found.version,
                "library_id": library.id,
                "cut": len(text) > _LONGEST_TEXT,
            },
        }
    raise NotFound(f"There is no document {document_id}; it may be deleted. Search again.")


def _chosen(libraries: list[Library], name: object) -> list[Library]:
    """All libraries, or those of a name or id."""
    if name is None:
        return libraries
    chosen = [one for one in libraries if name in (one.name, one.id)]
    if not chosen:
        there = ", ".join(one.name for one in libraries) or "none"
        raise NotFound(f"There is no library {name}. There are: {there}.")
    return chosen


def _hit(hit: Hit, library: str, base: str) -> dict[str, Any]:
    return {
        "id": hit.passage_id,
        "title": f"{hit.document_name}: {hit.heading}" if hit.heading else hit.document_name,
        "url": _url(hit, base),
        "text": hit.text,
        "library": library,
        "document_id": hit.document_id,
    }


def _url(hit: Hit, base: str) -> str:
    return f"{base}/v1/passages/{hit.passage_id}?library_id={hit.library_id}"


def _text(arguments: dict[str, Any], name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str) or not value.strip():
        raise BadRequest(f"The argument {name} must be a text that is not empty.")
    return value


_TOOLS = {"search": _search, "fetch": _fetch}
_READ_ONLY = types.ToolAnnotations(read_only_hint=True, open_world_hint=False)
_SEARCH = types.Tool(
    name="search",
    description="Find passages in the organisation's documents, by keywords and by meaning.",
    input_schema={
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "What to look for."},
            "limit": {"type": "integer", "minimum": 1, "maximum": 50, "default": 10},
            "library": {"type": "string", "description": "Name or id; all libraries if left out."},
        },
        "required": ["query"],
    },
    annotations=_READ_ONLY,
)
_FETCH = types.Tool(
    name="fetch",
    description="Read the document of a passage that search found, or a document by its id.",
    input_schema={
        "type": "object",
        "properties": {"id": {"type": "string", "description": "psg_… or doc_…"}},
        "required": ["id"],
    },
    annotations=_READ_ONLY,
)
