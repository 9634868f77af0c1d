"""Ponant under measurement: a process that asks the live process, as the API process does.

python -m bench.live_peers.ponant_child '{"home": …, "folder": …, "port": …, "embedder": …}'
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import uvicorn
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.live_peers.embedding import embed
from ponant.kit import Settings
from ponant.live import LiveClient
from ponant.live.port import Embedder
from ponant.store import Scope

SCOPE = Scope("org_bench", "wsp_bench", "per_bench")
_NAME = "Bench"


class SharedEmbedder:
    """The bench's embedder behind Ponant's port."""

    identity = "bench-e5"
    max_tokens = 500

    def __init__(self, url: str) -> None:
        self._url = url

    async def embed(
        self, texts: Sequence[str], kind: Literal["query", "passage"]
    ) -> NDArray[np.float32]:
        return await asyncio.to_thread(embed, self._url, texts, kind)


class Application:
    """A library over one folder, searched over HTTP."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        settings = Settings(home=Path(options["home"]), live_roots=options["folder"])
        self._client = LiveClient(settings, self._embedder)
        self._library = ""

    async def _embedder(self) -> Embedder:
        return SharedEmbedder(self._options["embedder"])

    async def start(self) -> None:
        """Start the live process and follow the folder, unless the home does already."""
        await self._client.start()
        for library in await self._client.list_libraries(SCOPE):
            if library.name == _NAME:
                self._library = library.id
                return
        library = await self._client.create_library(SCOPE, _NAME)
        self._library = library.id
        config = {"path": self._options["folder"]}
        await self._client.add_source(SCOPE, library.id, "folder", config, trusted=True)

    async def close(self) -> None:
        await self._client.close()

    async def search(self, request: Request) -> Response:
        asked = await request.json()
        found = await self._client.search(SCOPE, [self._library], asked["query"], asked["k"])
        return JSONResponse({"texts": [hit.text for hit in found.hits]})

    async def state(self, request: Request) -> Response:  # noqa: ARG002
        library = await self._client.get_library(SCOPE, self._library)
        return JSONResponse(
            {
                "state": library.freshness.state,
                "documents": library.documents,
                "pending": library.freshness.pending,
                "message": library.freshness.message,
            }
        )


async def main(options: dict[str, Any]) -> None:
    application = Application(options)
    await application.start()
    routes = [
        Route("/search", application.search, methods=["POST"]),
        Route("/state", application.state),
    ]
    config = uvicorn.Config(Starlette(routes=routes), port=options["port"], log_level="warning")
    try:
        await uvicorn.Server(config).serve()
    finally:
        await application.close()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
