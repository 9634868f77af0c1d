"""How the routes that generate are called: without the framework's search for them and their needs.

FastAPI finds a route's dependencies anew at each request, which took a third of the processor time
of a short answer, and what it and Starlette put around a route takes a tenth. These routes all need
the same four things, which are found here directly, as are the routes themselves by their path.
Their description still comes from their signature.
"""

import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, get_type_hints

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from ponant.api.auth import bearer_of, cookie_of, member, principal
from ponant.api.errors import UNREADABLE_BODY
from ponant.api.platform import platform

_Handler = tuple[APIRoute, Callable[[Request], Coroutine[Any, Any, Response]]]


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


class Application(FastAPI):
    """FastAPI with a short way to its generating routes, by their exact paths.

    It has no middleware for errors that nobody foresaw, since `SecurityMiddleware` answers for
    them.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._generating: dict[str, _Handler] = {}

    def include_router(self, router: APIRouter, *given: Any, **options: Any) -> None:
        super().include_router(router, *given, **options)
        for route in () if options else router.routes:
            if isinstance(route, GeneratingRoute):
                self._generating[route.path] = route, route.get_route_handler()

    def build_middleware_stack(self) -> ASGIApp:
        app: ASGIApp = _Shortcut(AsyncExitStackMiddleware(self.router), self._generating)
        app = ExceptionMiddleware(app, handlers=self.exception_handlers)
        for middleware, given, options in reversed(self.user_middleware):
            app = middleware(app, *given, **options)
        return app


class _Shortcut:
    """Hands a POST for a generating route to it, and everything else on."""

    def __init__(self, app: ASGIApp, routes: Mapping[str, _Handler]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._routes.get(scope["path"]) if scope.get("method") == "POST" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["route"], handle = found
        response = await handle(Request(scope, receive, send))
        await response(scope, receive, send)


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
