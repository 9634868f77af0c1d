"""Documents as resources of the Model Context Protocol: ``ponant://libraries/…/documents/…``."""

import re
from typing import Any

from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from starlette.requests import Request

from ponant.accounts import Principal
from ponant.api.platform import Platform, platform
from ponant.kit import PonantError
from ponant.live.port import Document

_PAGE = 100
_ADDRESS = re.compile(r"ponant://libraries/(\w+)/documents/(\w+)")
_INVALID = -32602  # JSON-RPC's number for parameters that do not fit
_LONGEST_TEXT = 1_000_000  # characters

_Context = ServerRequestContext[dict[str, Any]]


async def list_resources(
    context: _Context, params: types.PaginatedRequestParams | None
) -> types.ListResourcesResult:
    """What the caller may read, library by library; the cursor is the last address of a page."""
    services, caller = _asked(context)
    after = params.cursor if params else None
    found = [
        _resource(one)
        for library in await services.live.list_libraries(caller.scope)
        for one in await services.live.list_documents(caller.scope, library.id)
        if one.state == "indexed"
    ]
    addresses = [str(one.uri) for one in found]
    begin = addresses.index(after) + 1 if after in addresses else 0
    shown = found[begin : begin + _PAGE]
    more = begin + len(shown) < len(found)
    return types.ListResourcesResult(
        resources=shown, next_cursor=str(shown[-1].uri) if more else None
    )


async def list_templates(
    _context: _Context, _params: types.PaginatedRequestParams | None
) -> types.ListResourceTemplatesResult:
    """The one form of address."""
    template = types.ResourceTemplate(
        uri_template="ponant://libraries/{library}/documents/{document}",
        name="document",
        description="A document's text as it is now.",
        mime_type="text/markdown",
    )
    return types.ListResourceTemplatesResult(resource_templates=[template])


async def read(
    context: _Context, params: types.ReadResourceRequestParams
) -> types.ReadResourceResult:
    """A document's text as it is now."""
    services, caller = _asked(context)
    address = str(params.uri)
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise MCPError(_INVALID, f"There is no resource {address}.")
    try:
        text = await services.live.document_text(caller.scope, match[1], match[2])
    except PonantError as e:
        raise MCPError(_INVALID, e.message) from e
    content = types.TextResourceContents(
        uri=params.uri, mime_type="text/markdown", text=text[:_LONGEST_TEXT]
    )
    return types.ReadResourceResult(contents=[content])


def _resource(one: Document) -> types.Resource:
    return types.Resource(
        uri=f"ponant://libraries/{one.library_id}/documents/{one.id}",
        name=one.name,
        mime_type="text/markdown",
        size=one.size,
    )


def _asked(context: _Context) -> tuple[Platform, Principal]:
    request = context.request
    if not isinstance(request, Request):
        raise TypeError("resources are asked for over HTTP")
    return platform(request), request.state.principal
