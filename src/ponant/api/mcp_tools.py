"""The tools that clients of the Model Context Protocol find at ``/mcp``, search and fetch first.

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
from ponant.api import mcp_live, mcp_resources
from ponant.api.mcp_arguments import chosen_of, text, whole
from ponant.api.platform import Platform, platform
from ponant.kit import PonantError
from ponant.kit.errors import BadRequest, NotFound
from ponant.live.port import Hit, SearchOptions

_LONGEST_TEXT = 200_000  # characters of a fetched document
_INSTRUCTIONS = (
    "Search the organisation's own documents, then fetch what a result points to. Results follow "
    "the documents as they change. Numbers and records may stand in tables: list them, then ask in "
    "SQL. A watch keeps a question answered and tells when its answer changes."
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
        on_list_resources=mcp_resources.list_resources,
        on_list_resource_templates=mcp_resources.list_templates,
        on_read_resource=mcp_resources.read,
    )


async def _list_tools(
    _context: ServerRequestContext[dict[str, Any]], _params: types.PaginatedRequestParams | None
) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[_SEARCH, _FETCH, *mcp_live.TOOLS])


async def _call_tool(
    context: ServerRequestContext[dict[str, Any]], params: types.CallToolRequestParams
) -> types.CallToolResult:
    request = context.request
    if not isinstance(request, Request):
        raise TypeError("tools are called over HTTP")
    services, caller = platform(request), request.state.principal
    try:
        tool = _TOOLS[params.name]
    except KeyError:
        return _result(f"There is no tool {params.name}. There are: {', '.join(_TOOLS)}.")
    try:
        return _result(await tool(services, caller, params.arguments or {}))
    except PonantError as e:
        return _result(e.message)


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
    query = text(arguments, "query")
    limit = whole(arguments, "limit", 10)
    filters = arguments.get("filters")
    if not isinstance(filters, dict | None):
        raise BadRequest("The filters must be an object.")
    libraries = await services.live.list_libraries(caller.scope)
    chosen = chosen_of(libraries, arguments.get("library"))
    found = await services.live.search(
        caller.scope, [one.id for one in chosen], query, limit, SearchOptions(filters=filters)
    )
    names = {one.id: one.name for one in chosen}
    base = services.settings.base_url
    return {"results": [_hit(hit, names[hit.library_id], base) for hit in found.hits]}


async def _fetch(
    services: Platform, caller: Principal, arguments: dict[str, Any]
) -> dict[str, Any]:
    wanted = text(arguments, "id")
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


def _hit(hit: Hit, library: str, base: str) -> dict[str, Any]:
    return {
        "id": hit.passage_id,
        "title": f"{hit.document_name}: {hit.heading}" if hit.heading else hit.document_name,
        "url": _url(hit, base),
        "text": hit.text,
        "library": library,
        "source_id": hit.source_id,
        "document_id": hit.document_id,
        "version": hit.document_version,
        "start": hit.start,
        "end": hit.end,
        "library_version": hit.library_version,
        "as_of": hit.as_of,
        "metadata": hit.metadata,
    }


def _url(hit: Hit, base: str) -> str:
    return f"{base}/v1/passages/{hit.passage_id}?library_id={hit.library_id}"


_TOOLS = {"search": _search, "fetch": _fetch} | mcp_live.CALLS
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
            "filters": {
                "type": "object",
                "description": "Only documents whose metadata fits: {type: eq, key, value} with "
                "eq, ne, gt, gte, lt, lte, in or nin, or {type: and or or, filters: […]}.",
            },
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
