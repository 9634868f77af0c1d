"""No passage is longer than its embedder reads, whatever the text; with the real embedders."""

import base64
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ponant.kit import SystemClock
from ponant.live.indexing.embedding import EmbeddingGate
from ponant.live.indexing.index import Index
from ponant.live.indexing.ingestion import Ingestion
from ponant.live.reading.chunking import Chunk
from ponant.live.served import ServedEmbedder
from ponant.store import Database, Scope
from tests.serving.conftest import models_in, opened_upstreams

pytestmark = [pytest.mark.anyio, pytest.mark.model]

_PROSE = "The harbour office opens at half past seven, except on public holidays in summer. "
_RANDOM = random.Random(5)
_TEXTS = {
    "prose": _PROSE * 60,
    "german": "Donaudampfschifffahrtsgesellschaftskapitänsmütze und Straßenbahnhaltestelle. " * 50,
    "chinese": "前台上午九点开门，钥匙在一楼。节假日除外" * 80,
    "thai": "โต๊ะเปิดเวลาเก้าโมงเช้า " * 80,
    "russian": "Ключи лежат у дежурного на первом этаже. " * 80,
    "hexadecimal": _RANDOM.randbytes(3000).hex(),
    "base64": base64.b64encode(_RANDOM.randbytes(4000)).decode(),
    "consonants": " ".join(
        "".join(_RANDOM.choices("bcdfghjklmnpqrstvwxz", k=7)) for _ in range(600)
    ),
    "pictures": "\N{SAILBOAT}\N{ANCHOR}\N{WATER WAVE}" * 400,
    "signs": "{}[]()<>;:,.!?" * 300,
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def _ingestion(
    models_home: Path, home: Path, name: str
) -> AsyncIterator[tuple[Ingestion, ServedEmbedder]]:
    (home / "models").symlink_to(models_home / "models")
    database = Database.at(home / "live.db")
    gate = EmbeddingGate()
    ingestion = Ingestion(Index(database, SystemClock()), gate, lambda *_: None)
    with opened_upstreams(home) as upstreams:
        async with models_in(home, upstreams) as models:
            model = await models.embedder(name)
            await model.embed(["ready"])
            embedder = ServedEmbedder(model, name, model.card.context_length - 8)
            gate.connect(embedder)
            try:
                yield ingestion, embedder
            finally:
                await ingestion.close()
                database.close()


async def _cut(ingestion: Ingestion, text: str, kind: str) -> list[Chunk]:
    chunks, _ = await ingestion._chunks(Scope(workspace_id="wsp_1"), None, text, kind)
    return chunks


@pytest.mark.parametrize("name", ["embed", "embed-en"])
async def test_no_passage_exceeds_its_embedder(
    name: str, models_home: Path, tmp_path: Path
) -> None:
    async with _ingestion(models_home, tmp_path, name) as (ingestion, embedder):
        for text in _TEXTS.values():
            for kind in ("text/plain", "text/x-python"):
                chunks = await _cut(ingestion, f"# {_PROSE * 3}\n\n{text}", kind)
                counts = await embedder.count_tokens([piece.input for piece in chunks])
                assert max(counts) <= embedder.max_tokens
                joined = "".join("".join(piece.text.split()) for piece in chunks)
                assert joined == "".join(f"# {_PROSE * 3}{text}".split())
        longest = [chunk.input for chunk in await _cut(ingestion, _TEXTS["hexadecimal"], "")]
        assert len(await embedder.embed(longest[:3], "passage")) == 3
