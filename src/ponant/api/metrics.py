"""What Prometheus reads: requests as they end, and the state of models as it stands."""

import ipaddress
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated

from fastapi import APIRouter, Request, Security
from fastapi.responses import Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram
from prometheus_client import generate_latest as render
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ponant.accounts import Role
from ponant.api.auth import identify
from ponant.api.platform import Platform, Services
from ponant.kit.errors import Forbidden

router = APIRouter(tags=["operation"])

_bearer = HTTPBearer(auto_error=False, description="An API key.")

_REGISTRY = CollectorRegistry()
_REQUESTS = Counter(
    "ponant_http_requests_total",
    "Requests that ended.",
    ("method", "route", "status"),
    registry=_REGISTRY,
)
_SECONDS = Histogram(
    "ponant_http_request_seconds",
    "Time until a response was complete.",
    ("route",),
    buckets=(0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300),
    registry=_REGISTRY,
)
# Finding one among them takes longer than counting.
_requests = lru_cache(maxsize=1024)(_REQUESTS.labels)
_seconds = lru_cache(maxsize=1024)(_SECONDS.labels)


class MetricsMiddleware:
    """Counts each request under its route, never under the address that was typed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            _requests(scope["method"], route, status).inc()
            _seconds(route).observe(time.perf_counter() - started)


@router.get("/metrics", summary="Show metrics", response_class=Response)
def show_metrics(
    request: Request,
    services: Services,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Response:
    """Metrics in Prometheus' text format, for this machine and for administrators."""
    if not _is_this_machine(request):
        caller = identify(services.accounts, bearer.credentials if bearer else None, None)
        if not caller.role.covers(Role.ADMIN):
            raise Forbidden("Metrics are for administrators. Use an administrator's key.")
    registry = CollectorRegistry()
    registry.register(_States(services))
    body = render(_REGISTRY) + render(registry)
    return Response(body, media_type=CONTENT_TYPE_LATEST)


class _States:
    """Collects at each reading what stands somewhere else already."""

    def __init__(self, services: Platform) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily(
            "ponant_models_waiting", "Models that start with the server and are not ready."
        )
        waiting.add_metric([], len(self._services.models.waiting()))
        yield waiting
        ready = GaugeMetricFamily("ponant_live_ready", "Whether live knowledge answers.")
        ready.add_metric([], float(self._services.live.ready))
        yield ready
        tokens = CounterMetricFamily(
            "ponant_tokens", "Tokens since this process started.", labels=("model", "kind")
        )
        for (model, kind), count in sorted(self._services.ledger.tokens.items()):
            tokens.add_metric([model, kind], count)
        yield tokens


def _is_this_machine(request: Request) -> bool:
    if request.client is None or "x-forwarded-for" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
