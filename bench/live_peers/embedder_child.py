"""The embedder that every contender asks: the served e5, or vectors made from words or seeds.

    POST /embed/<who>  {"texts": [...], "kind": "passage"}  -> float32 rows
    POST /count        {"texts": [...]}                      -> tokens of each
    GET  /told                                               -> what was asked, by whom
    POST /delay        {"seconds": 0.005}                    -> each passage takes this long
    POST /forget                                             -> counts begin anew

It counts by who asks. Texts that begin with ``Record `` are of a synthetic corpus: their vectors
are drawn from clusters by a seed, since embedding 100,000 of them for real takes ten minutes.
"""

import asyncio
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Protocol

import numpy as np
import uvicorn
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.live_peers.embedding import DIMENSION
from bench.live_peers.hashing import vectors_of, words_of
from bench.live_texts.synthetic import RECORD, vector_of
from ponant.hub import Catalogue
from ponant.kit import Settings, SystemClock
from ponant.serving import Models, Upstreams
from ponant.serving.port import TextModel
from ponant.store import Database

_AT_ONCE = 32


class Embedding(Protocol):
    async def embed(self, texts: list[str], kind: str) -> NDArray[np.float32]: ...

    async def count(self, texts: list[str]) -> list[int]: ...


class Hashing:
    """Words hashed into signs."""

    async def embed(self, texts: list[str], kind: str) -> NDArray[np.float32]:  # noqa: ARG002
        return vectors_of(texts)

    async def count(self, texts: list[str]) -> list[int]:
        return words_of(texts)


class Served:
    """The multilingual e5 that Ponant serves, in its worker process."""

    def __init__(self, model: TextModel) -> None:
        self._model = model

    async def embed(self, texts: list[str], kind: str) -> NDArray[np.float32]:
        rows = np.empty((len(texts), DIMENSION), np.float32)
        real = [place for place, text in enumerate(texts) if not text.startswith(RECORD)]
        for begin in range(0, len(real), _AT_ONCE):
            places = real[begin : begin + _AT_ONCE]
            asked = [texts[place] for place in places]
            found = await self._model.embed(asked, "query" if kind == "query" else "passage")
            rows[places] = found.vectors
        for place, text in enumerate(texts):
            if text.startswith(RECORD):
                rows[place] = vector_of(text)
        return rows

    async def count(self, texts: list[str]) -> list[int]:
        return [
            len(text.split()) if text.startswith(RECORD) else await self._tokens(text)
            for text in texts
        ]

    async def _tokens(self, text: str) -> int:
        return len(await self._model.tokenize(text))


class Counting:
    """Serves an embedding and remembers who asked what."""

    def __init__(self, embedding: Embedding) -> None:
        self._embedding = embedding
        self._delay = 0.0
        self._forget()

    def _forget(self) -> None:
        self.passages: Counter[str] = Counter()
        self.queries: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)

    async def embed(self, request: Request) -> Response:
        who = request.path_params["who"]
        asked = await request.json()
        texts, kind = asked["texts"], asked["kind"]
        (self.queries if kind == "query" else self.passages)[who] += len(texts)
        begun = time.perf_counter()
        if self._delay and kind != "query":
            await asyncio.sleep(self._delay * len(texts))
        rows = await self._embedding.embed(texts, kind)
        self.seconds[who] += time.perf_counter() - begun
        return Response(rows.astype(np.float32).tobytes())

    async def count(self, request: Request) -> Response:
        asked = await request.json()
        return JSONResponse(await self._embedding.count(asked["texts"]))

    async def told(self, request: Request) -> Response:  # noqa: ARG002
        counted = ("passages", "queries", "seconds")
        return JSONResponse({name: dict(getattr(self, name)) for name in counted})

    async def delay(self, request: Request) -> Response:
        self._delay = (await request.json())["seconds"]
        return JSONResponse({})

    async def forget(self, request: Request) -> Response:  # noqa: ARG002
        self._forget()
        return JSONResponse({})


async def main(kind: str, port: int, home: Path) -> None:
    if kind == "hash":
        await _serve(Hashing(), port)
        return
    settings = Settings(home=home)
    database = Database.at(home / "ponant.db")
    database.migrate("ponant")
    models = Models(settings, Catalogue(home), Upstreams(database, SystemClock(), settings))
    try:
        await _serve(Served(await models.embedder()), port)
    finally:
        await models.close()
        database.close()


async def _serve(embedding: Embedding, port: int) -> None:
    await embedding.embed(["ready"], "query")
    counting = Counting(embedding)
    routes = [
        Route("/embed/{who}", counting.embed, methods=["POST"]),
        Route("/count", counting.count, methods=["POST"]),
        Route("/told", counting.told),
        Route("/delay", counting.delay, methods=["POST"]),
        Route("/forget", counting.forget, methods=["POST"]),
    ]
    config = uvicorn.Config(Starlette(routes=routes), port=port, log_level="warning")
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
