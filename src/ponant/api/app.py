"""The HTTP application: every route, and what surrounds them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from ponant import __version__
from ponant.api import (
    access,
    budgets,
    chat,
    completions,
    conversations,
    description,
    documents,
    embeddings,
    files,
    fim,
    folders,
    health,
    identity,
    keys,
    libraries,
    mcp,
    metrics,
    models,
    page,
    passages,
    people,
    pipelines,
    rerank,
    session,
    sharing,
    signed,
    sources,
    tables,
    usage,
    vector_store_files,
    vector_stores,
    watches,
)
from ponant.api import errors as error_handlers
from ponant.api.platform import Platform
from ponant.api.routing import Application
from ponant.api.security import SecurityMiddleware

_ROUTERS = (
    chat.router,
    completions.router,
    fim.router,
    embeddings.router,
    rerank.router,
    models.router,
    conversations.router,
    libraries.router,
    sources.router,
    watches.router,
    access.router,
    documents.router,
    sharing.router,
    files.router,
    signed.router,
    vector_stores.router,
    vector_store_files.router,
    passages.router,
    folders.router,
    tables.router,
    tables.inboxes,
    pipelines.router,
    session.router,
    identity.router,
    keys.router,
    people.router,
    usage.router,
    budgets.router,
    health.router,
    metrics.router,
    description.router,
)


def create_app(services: Platform) -> FastAPI:
    """The application over ``services``, which it starts and closes with itself."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await services.start()
        try:
            async with mcp.running(app):
                yield
        finally:
            await services.close()

    app = Application(
        title="Ponant",
        version=__version__,
        lifespan=lifespan,
        openapi_url=None,  # `description` gives it to callers with a key
        docs_url=None,
        redoc_url=None,
        # It would look at each request whether somebody set up OpenTelemetry meanwhile.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.platform = services
    error_handlers.install_error_handlers(app)
    for router in _ROUTERS:
        app.include_router(router)
    mcp.mount(app)
    app.include_router(page.router)  # last: it answers whatever is left
    app.add_middleware(metrics.MetricsMiddleware)
    app.add_middleware(SecurityMiddleware, settings=services.settings)
    return app
