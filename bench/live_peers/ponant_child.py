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

from bench.live_peers.embedding import count, embed
from ponant.kit import Settings
from ponant.live import LiveClient
from ponant.live.port import Embedder, SearchOptions
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

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return await asyncio.to_thread(count, self._url, texts)


class Application:
    """Libraries over folders, searched over HTTP."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        settings = Settings(home=Path(options["home"]), live_roots=options["folder"])
        self._client = LiveClient(settings, self._embedder)
        self._libraries: dict[str, str] = {}

    async def _embedder(self) -> Embedder:
        return SharedEmbedder(self._options["embedder"])

    async def start(self) -> None:
        """Start the live process; follow the folders that the home does not follow already."""
        await self._client.start()
        known = await self._client.list_libraries(SCOPE)
        self._libraries = {library.name: library.id for library in known}
        for name, folder in self._folders().items():
            if name not in self._libraries:
                library = await self._client.create_library(SCOPE, name)
                config = {"path": str(folder)}
                await self._client.add_source(SCOPE, library.id, "folder", config, trusted=True)
                self._libraries[name] = library.id

    def _folders(self) -> dict[str, Path]:
        folder = Path(self._options["folder"])
        if not self._options.get("each"):
            return {_NAME: folder}
        return {one.name: one for one in sorted(folder.iterdir()) if one.is_dir()}

    async def close(self) -> None:
        await self._client.close()

    async def search(self, request: Request) -> Response:
        asked = await request.json()
        library = self._libraries[asked.get("library", _NAME)]
        options = SearchOptions(mode=asked.get("mode", "hybrid"))
        found = await self._client.search(SCOPE, [library], asked["query"], asked["k"], options)
        hits = [
            {"text": hit.text, "heading": hit.heading, "document": hit.document_name}
            | {"keyword": hit.keyword_rank, "vector": hit.vector_rank}
            for hit in found.hits
        ]
        return JSONResponse({"texts": [hit["text"] for hit in hits], "hits": hits})

    async def state(self, request: Request) -> Response:  # noqa: ARG002
        libraries = await self._client.list_libraries(SCOPE)
        states = [library.freshness.state for library in libraries]
        worst = max(states, key=("in_step", "syncing", "error").index, default="syncing")
        return JSONResponse(
            {
                "state": worst,
                "documents": sum(library.documents for library in libraries),
                "pending": sum(library.freshness.pending for library in libraries),
                "messages": [library.freshness.message for library in libraries],
                "pid": self._client.pid,
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
