"""How the routes that generate are called: without the framework's search for what they need.

FastAPI finds a route's dependencies anew at each request, which took a third of the processor time
of a short answer. These routes all need the same four things, which are found here directly. Their
description still comes from their signature.
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from ponant.api.auth import bearer_of, cookie_of, member, principal
from ponant.api.errors import UNREADABLE_BODY
from ponant.api.platform import platform


class GeneratingRoute(APIRoute):
    """A route whose endpoint takes ``body``, ``request``, ``caller`` (a member) and ``services``.

    What is refused is refused in the framework's order and words: a body that cannot be read,
    then a caller who may not, then a body that does not fit.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = self.endpoint
        schema: type[BaseModel] = get_type_hints(endpoint)["body"]

        async def handle(request: Request) -> Response:
            given = await _content(request)
            services = platform(request)
            who = await principal(services, await bearer_of(request), await cookie_of(request))
            caller = await member(who)
            response: Response = await endpoint(
                body=_validated(schema, given), request=request, caller=caller, services=services
            )
            return response

        return handle


async def _content(request: Request) -> object:
    """The body as JSON, as bytes where it says that it is something else, or None.

    Raises:
        RequestValidationError: it is no JSON.
        HTTPException: it cannot be read.
    """
    raw = await request.body()
    if not raw:
        return None
    if not _is_json(request.headers.get("content-type", "")):
        return raw
    try:
        return json.loads(raw)
    except json.JSONDecodeError as e:
        fault = {"type": "json_invalid", "loc": ("body", e.pos), "ctx": {"error": e.msg}}
        raise RequestValidationError([fault], body=e.doc) from e
    except (ValueError, RecursionError) as e:
        raise HTTPException(400, UNREADABLE_BODY) from e


def _is_json(content_type: str) -> bool:
    kind, _, name = content_type.partition(";")[0].strip().lower().partition("/")
    return kind == "application" and (name == "json" or name.endswith("+json"))


def _validated(schema: type[BaseModel], given: object) -> BaseModel:
    if given is None:
        fault = {"type": "missing", "loc": ("body",), "msg": "Field required", "input": None}
        raise RequestValidationError([fault])
    try:
        return schema.model_validate(given, from_attributes=True)
    except ValidationError as e:
        faults = [{**one, "loc": ("body", *one["loc"])} for one in e.errors(include_url=False)]
        raise RequestValidationError(faults, body=given) from e
