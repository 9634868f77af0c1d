"""Decoding while the embedder works through passages, each against itself alone.

Both run in worker processes of their own, as a server starts them, and are asked through the same
ports. The passages are the real text in pieces of a passage's usual length, the first of 10,000
that the embedder gets to while the stream decodes; it is stopped with the stream.
"""

import asyncio
import itertools
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bench.engine_models.catalogue import STARTER, Model
from bench.engine_rows.prompts import real_text
from bench.harness import PAIRS, Figures
from ponant.engine import Sampling
from ponant.hub import Catalogue
from ponant.kit import Settings, SystemClock
from ponant.live.indexing.embedding import EmbeddingGate
from ponant.live.served import ServedEmbedder
from ponant.serving import Models, Upstreams
from ponant.serving.port import CompletionRequest, Controls, TextModel
from ponant.store import Database, Scope

_DECODE: Final = ("decode beside embedding", "decode alone")
_EMBED: Final = ("embedding beside decode", "embedding alone")
_PASSAGES: Final = 10_000
_LETTERS: Final = 600
_TOKENS: Final = 256
_SECONDS: Final = 4.0  # of embedding alone, a round
_NOWHERE: Final = Scope("org_bench", "ws_bench", "person_bench")


def decode(model: Model) -> Figures:
    """Tokens a second of one stream; the note tells what is left of the embedding."""
    del model  # a server's own starter and embedder are measured
    return asyncio.run(_measure())


async def _measure() -> Figures:
    figures = Figures("decode while passages are embedded", "tokens/s", ours=_DECODE[0])
    figures.values = {name: [] for name in _DECODE}
    embedded: dict[str, list[float]] = {name: [] for name in _EMBED}
    async with _models() as models:
        starter = await models.get("starter", _NOWHERE)
        work = _Sync(await models.embedder())
        await _decode(starter, 0)
        await work.run(1)
        for number in range(PAIRS):
            figures.values[_DECODE[1]].append(await _decode(starter, number))
            embedded[_EMBED[1]].append(await work.run(_SECONDS))
            background = asyncio.create_task(work.run(3600))
            await asyncio.sleep(0.5)
            began, before = time.perf_counter(), work.done
            figures.values[_DECODE[0]].append(await _decode(starter, number))
            rate = (work.done - before) / (time.perf_counter() - began)
            embedded[_EMBED[0]].append(rate)
            work.stop()
            await background
    share = Figures("embedding", "passages/s", values=embedded, ours=_EMBED[0])
    figures.notes["embedding beside decode, of alone"] = round(share.ratio(_EMBED[1]), 2)
    figures.notes["passages/s alone"] = round(share.median(_EMBED[1]), 1)
    return figures


class _Sync:
    """Passages on their way to the embedder, as a document's are."""

    def __init__(self, model: TextModel) -> None:
        self.done = 0
        self._gate = EmbeddingGate()
        self._gate.connect(ServedEmbedder(model, "bench", model.card.context_length))
        text = real_text()
        starts = range(0, len(text) - _LETTERS, _LETTERS)
        pieces = [text[start : start + _LETTERS] for start in starts]
        self._passages = list(itertools.islice(itertools.cycle(pieces), _PASSAGES))
        self._stopped = False

    async def run(self, seconds: float) -> float:
        """Embed for so long or until stopped; passages a second."""
        self._stopped = False
        began, before = time.perf_counter(), self.done
        async for vectors in self._gate.turns(self._passages):
            self.done += len(vectors)
            if self._stopped or time.perf_counter() - began > seconds:
                break
        return (self.done - before) / (time.perf_counter() - began)

    def stop(self) -> None:
        self._stopped = True


async def _decode(model: TextModel, seed: int) -> float:
    """Tokens a second after the first, sampled, so that no draft foretells them."""
    controls = Controls(
        sampling=Sampling(temperature=1.0, seed=seed), max_tokens=_TOKENS, min_tokens=_TOKENS
    )
    prompt = [2, *range(1000, 1031)]
    times, counted = [], 0
    async for delta in model.complete(CompletionRequest(prompt=prompt, controls=controls)):
        times.append(time.perf_counter())
        counted = delta.usage.completion_tokens if delta.usage else counted
    return (counted - 1) / (times[-1] - times[0])


@asynccontextmanager
async def _models() -> AsyncIterator[Models]:
    with tempfile.TemporaryDirectory(prefix="ponant-bench-") as folder:
        settings = Settings(home=Path(folder))
        (settings.home / "models").symlink_to(STARTER.parent.parent)
        database = Database.at(settings.home / "ponant.db")
        database.migrate("ponant")
        models = Models(
            settings,
            Catalogue(settings.home),
            Upstreams(database, SystemClock(), settings),
        )
        try:
            yield models
        finally:
            await models.close()
            database.close()
